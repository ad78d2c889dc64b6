from django.db import migrations

from ledger.functions import FUNCTIONS

_NAMES = ("ledger_append", "ledger_entry_stamp", "ledger_with_entry", "ledger_posting_balanced")
_NEW = "".join(FUNCTIONS[name].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION") for name in _NAMES)

# As they were before, for the way back.
_OLD = r"""
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
CREATE OR REPLACE FUNCTION ledger_append(
    p_entry_id text, p_stream_id text, p_kind text, p_facts text, p_nonce text, p_occurred_at timestamptz, p_key text,
    p_merchant_id text, p_agent_id text, p_evidence text, p_merchant_opening bytea, p_agent_opening bytea,
    p_accounts text[], p_owners text[], p_currencies text[], p_amounts bigint[],
    OUT id bigint, OUT entry_id text, OUT stream_seq integer, OUT recorded_at timestamptz, OUT leaf_hash bytea,
    OUT is_new boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_largest constant bigint := 9007199254740991;
    -- Lengths apart: a pattern that counts has as many states as it counts to, built anew for each text.
    v_ulid constant text := '^[0-7][0-9A-HJKMNP-TV-Z]+$';
    v_hex constant text := '^[0-9a-f]+$';
    v_iso constant text := 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"';
    v_head text;
    v_sealed text;
    v_time timestamptz;
    v_seq integer;
    v_prev bytea;
BEGIN
    IF p_entry_id !~ v_ulid OR length(p_entry_id) <> 26 OR p_stream_id !~ v_ulid OR length(p_stream_id) <> 26
        OR p_kind !~ '^[a-z_]+(\.[a-z_]+)*$' OR p_nonce !~ v_hex OR length(p_nonce) <> 32
        OR p_evidence !~ v_hex OR length(p_evidence) <> 64
        OR left(p_facts, 1) <> '{' OR ledger_canonical(p_facts::jsonb) <> p_facts
        OR extract(year FROM p_occurred_at AT TIME ZONE 'UTC') NOT BETWEEN 1 AND 9999
        OR EXISTS (SELECT FROM unnest(p_amounts) AS amount WHERE amount NOT BETWEEN -v_largest AND v_largest)
    THEN
        RAISE EXCEPTION 'not a ledger entry' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_head := '{"entry_id":"' || p_entry_id || '","evidence":' || coalesce('"' || p_evidence || '"', 'null')
        || ',"facts":' || p_facts || ',"kind":"' || p_kind || '","nonce":"' || p_nonce
        || '","occurred_at":"' || to_char(p_occurred_at AT TIME ZONE 'UTC', v_iso)
        || '","postings":[' || coalesce((
            SELECT string_agg('["' || account || '","' || currency || '",' || amount || ']', ',' ORDER BY place)
            FROM unnest(p_accounts, p_currencies, p_amounts) WITH ORDINALITY AS line(account, currency, amount, place)
        ), '') || '],"prev":';
    v_sealed := '","sealed":{' || concat_ws(',',
            '"agent":"' || encode(sha256(p_agent_opening), 'hex') || '"',
            '"merchant":"' || encode(sha256(p_merchant_opening), 'hex') || '"')
        || '},"stream_id":"' || p_stream_id || '","stream_seq":';
    FOR attempt IN 1..1000 LOOP
        v_seq := 0;
        v_prev := NULL;
        SELECT e.stream_seq, e.leaf_hash INTO v_seq, v_prev FROM ledger_entry e
            WHERE e.stream_id = p_stream_id ORDER BY e.stream_seq DESC LIMIT 1;
        v_seq := coalesce(v_seq, 0) + 1;
        -- Now, not when the statement began: one that sleeps first would be recorded in the past.
        v_time := date_trunc('milliseconds', clock_timestamp());
        INSERT INTO ledger_entry AS e (entry_id, stream_id, stream_seq, kind, idempotency_key, merchant_id, agent_id,
                occurred_at, recorded_at, body)
            VALUES (p_entry_id, p_stream_id, v_seq, p_kind, p_key, p_merchant_id, p_agent_id, p_occurred_at, v_time,
                convert_to(v_head || coalesce('"' || encode(v_prev, 'hex') || '"', 'null')
                    || ',"recorded_at":"' || to_char(v_time AT TIME ZONE 'UTC', v_iso) || v_sealed || v_seq
                    || ',"v":1}', 'UTF8'))
            ON CONFLICT DO NOTHING
            RETURNING e.id, e.entry_id, e.stream_seq, e.recorded_at, e.leaf_hash, true
            INTO id, entry_id, stream_seq, recorded_at, leaf_hash, is_new;
        IF FOUND THEN
            IF recorded_at <> v_time THEN
                RAISE EXCEPTION 'the clock jumped while an entry was written' USING ERRCODE = 'serialization_failure';
            END IF;
            IF cardinality(p_accounts) > 0 THEN
                INSERT INTO ledger_posting (entry_id, place, account, owner_id, currency, amount_minor)
                    SELECT id, place, account, owner, currency, amount
                    FROM unnest(p_accounts, p_owners, p_currencies, p_amounts) WITH ORDINALITY
                        AS line(account, owner, currency, amount, place);
            END IF;
            IF p_merchant_opening IS NOT NULL OR p_agent_opening IS NOT NULL THEN
                INSERT INTO ledger_opening (entry_id, party, content)
                    SELECT id, party, content
                    FROM (VALUES ('merchant', p_merchant_opening), ('agent', p_agent_opening)) AS told(party, content)
                    WHERE content IS NOT NULL;
            END IF;
            RETURN;
        END IF;
        -- Told before? Otherwise somebody took our place in the stream, and we look for the next one.
        SELECT e.id, e.entry_id, e.stream_seq, e.recorded_at, e.leaf_hash, false
            INTO id, entry_id, stream_seq, recorded_at, leaf_hash, is_new
            FROM ledger_entry e WHERE e.idempotency_key = p_key;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'no place found in stream %', p_stream_id USING ERRCODE = 'serialization_failure';
END $$;
CREATE OR REPLACE FUNCTION ledger_entry_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'ledger entries need synchronous_commit' USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.id := nextval('ledger_entry_id_seq');
    IF NEW.recorded_at BETWEEN clock_timestamp() - interval '1 second' AND clock_timestamp() THEN
        NEW.recorded_at := date_trunc('milliseconds', NEW.recorded_at);
    ELSE
        NEW.recorded_at := date_trunc('milliseconds', clock_timestamp());
    END IF;
    NEW.xid := pg_current_xact_id();
    IF NEW.stream_seq > 1 AND NOT EXISTS (
        SELECT 1 FROM ledger_entry WHERE stream_id = NEW.stream_id AND stream_seq = NEW.stream_seq - 1
    ) THEN
        RAISE EXCEPTION 'stream % has no entry before number %', NEW.stream_id, NEW.stream_seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION ledger_with_entry() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- By its number alone: looked for by transaction, an entry of a large one is far to find.
    IF EXISTS (
        SELECT FROM told
        WHERE (SELECT xid FROM ledger_entry WHERE id = told.entry_id) IS DISTINCT FROM pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION '% belongs to no entry of this transaction', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION ledger_posting_balanced() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT entry_id FROM told) entry WHERE EXISTS (
            SELECT FROM ledger_posting posting WHERE posting.entry_id = entry.entry_id
            GROUP BY currency HAVING sum(amount_minor) <> 0
        )
    ) THEN
        RAISE EXCEPTION 'the postings of an entry do not add up to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_entries_balance';
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    """The same rules with fewer queries. Whoever is just appending finishes by the old text."""

    dependencies = [("ledger", "0004_evidence_merchant")]

    operations = [migrations.RunSQL(_NEW, _OLD)]
