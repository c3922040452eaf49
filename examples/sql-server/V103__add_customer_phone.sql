-- NULL at first: existing rows have no phone number, and the running application does not write one yet.
ALTER TABLE dbo.customers ADD phone NVARCHAR(30) NULL;
