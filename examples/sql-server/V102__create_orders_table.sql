-- Orders and the index that the list of a customer's orders reads.
CREATE TABLE dbo.orders (
    order_id INT IDENTITY(1, 1) NOT NULL CONSTRAINT pk_orders PRIMARY KEY,
    customer_id INT NOT NULL CONSTRAINT fk_orders_customers REFERENCES dbo.customers (customer_id),
    ordered_at DATETIME2(3) NOT NULL CONSTRAINT df_orders_ordered_at DEFAULT SYSUTCDATETIME(),
    total DECIMAL(19, 2) NOT NULL CONSTRAINT ck_orders_total CHECK (total >= 0)
);
GO
CREATE INDEX ix_orders_customer ON dbo.orders (customer_id, ordered_at);
