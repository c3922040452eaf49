-- Runs again whenever this text changes.
DROP VIEW IF EXISTS order_totals;
CREATE VIEW order_totals AS
SELECT customers.customer_id, customers.email, COUNT(orders.order_id) AS order_count, COALESCE(SUM(orders.total_cents), 0) AS total_cents
FROM customers
LEFT JOIN orders ON orders.customer_id = customers.customer_id
GROUP BY customers.customer_id, customers.email;
