-- Customers, one row per person. An email address identifies a customer.
CREATE TABLE dbo.customers (
    customer_id INT IDENTITY(1, 1) NOT NULL CONSTRAINT pk_customers PRIMARY KEY,
    email NVARCHAR(320) NOT NULL CONSTRAINT uq_customers_email UNIQUE,
    full_name NVARCHAR(200) NOT NULL,
    created_at DATETIME2(3) NOT NULL CONSTRAINT df_customers_created_at DEFAULT SYSUTCDATETIME()
);
