-- What the service billing of examples/chain.yaml has beside its outbox: one invoice for each order.
CREATE TABLE invoices (
    order_id text    PRIMARY KEY,
    total    numeric NOT NULL
);
