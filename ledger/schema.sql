-- The ledger, version 1. Columns are explained in row.py; their order is that of its fields.
BEGIN;

CREATE TABLE request (
    id                INTEGER PRIMARY KEY,     -- order of settling
    settle_key        TEXT    NOT NULL UNIQUE, -- what makes it exactly once
    start_ms          INTEGER NOT NULL,
    request_id        TEXT,
    trace_id          TEXT,
    operation         TEXT,
    tenant            TEXT,
    project           TEXT,
    user              TEXT,
    key_id            TEXT,
    model             TEXT,
    pool              TEXT,
    endpoint          TEXT,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    cached_tokens     INTEGER,
    status            INTEGER,
    deny_reason       TEXT,
    ttft_us           INTEGER,
    latency_us        INTEGER,
    attempts          INTEGER,
    unsettled         INTEGER NOT NULL CHECK (unsettled IN (0, 1)),
    estimated         INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    cut               INTEGER NOT NULL CHECK (cut IN (0, 1)),
    policy            TEXT
);

-- Reports ask for a period; often for one tenant or one model in it.
CREATE INDEX request_by_time ON request (start_ms);
CREATE INDEX request_by_tenant ON request (tenant, start_ms);
CREATE INDEX request_by_model ON request (model, start_ms);
CREATE INDEX request_unsettled ON request (start_ms) WHERE unsettled = 1;

-- Requests that were seen and have not ended: store.Open, the sighting as JSON.
CREATE TABLE open_request (
    settle_key  TEXT PRIMARY KEY,
    leased_at_s REAL NOT NULL,
    seen        TEXT NOT NULL
) WITHOUT ROWID;

-- How far each log and journal file has been read.
CREATE TABLE source (
    file_id TEXT PRIMARY KEY,
    read_to INTEGER NOT NULL
) WITHOUT ROWID;

PRAGMA user_version = 1;
COMMIT;
