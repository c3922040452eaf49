DROP TABLE IF EXISTS dbo.customers;
