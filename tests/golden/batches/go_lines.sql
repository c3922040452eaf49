-- Every way of writing a separator, and what only looks like one.
CREATE TABLE dbo.go (go INT);
GO
INSERT INTO dbo.go (go) VALUES (1);
	go 3	-- three rows
SELECT go
  AS GO_x
FROM dbo.go;
GOTO_label:
GOTO GOTO_label;
Go -- it's only a comment [ " /*

GO

GO 5

-- A batch of nothing but a comment is sent.
GO;
SELECT 1 GO
SELECT 2;
