SELECT 1;
GO

  SELECT N'never closed;
GO
SELECT 2;
