SET QUOTED_IDENTIFIER ON;
GO
SET ANSI_NULLS ON;
GO
CREATE OR ALTER PROCEDURE dbo.go_on @n INT
AS
BEGIN
    /* The line
    GO
    is part of this comment. */
    EXEC('SELECT 1
GO'); -- part of the string, and an error on the server
    IF @n > 0
        GOTO done;
done:
    RETURN 0;
END;
GO
EXEC dbo.go_on @n = 1;
GO 2
