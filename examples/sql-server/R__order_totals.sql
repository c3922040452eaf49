-- Runs again whenever this text changes.
CREATE OR ALTER VIEW dbo.order_totals AS
SELECT customers.customer_id, customers.email, COUNT(orders.order_id) AS order_count, COALESCE(SUM(orders.total), 0) AS total
FROM dbo.customers AS customers
LEFT JOIN dbo.orders AS orders ON orders.customer_id = customers.customer_id
GROUP BY customers.customer_id, customers.email;
