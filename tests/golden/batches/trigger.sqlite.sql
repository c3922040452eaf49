CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE account_log (account_id INTEGER NOT NULL, line TEXT NOT NULL);
GO
CREATE TRIGGER account_is_logged AFTER UPDATE ON account
BEGIN
  INSERT INTO account_log VALUES (old.id, old.name || '
GO
' || new.name);
END;
GO
INSERT INTO account VALUES (1, 'one');
