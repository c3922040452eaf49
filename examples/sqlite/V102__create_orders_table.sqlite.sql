-- Orders and the index that the list of a customer's orders reads.
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (customer_id),
    ordered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    total_cents INTEGER NOT NULL CHECK (total_cents >= 0)
);
CREATE INDEX ix_orders_customer ON orders (customer_id, ordered_at);
