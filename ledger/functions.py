"""The ledger's functions and triggers in PostgreSQL: the only way in for entries, and what refuses the rest.

Migrations install these texts and `verify_ledger` holds the database against them: change one only together with a
new migration that replaces it.
"""

# Facts in their one form, to be compared with those handed in: a body that verifiers refuse would stay in the log for
# ever. What bodies do not hold (rako.core.facts.canonical says what they do) is left out, and so makes a difference.
CANONICAL = r"""
CREATE FUNCTION ledger_canonical(p_value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(p_value) = 'object' THEN
        RETURN '{' || coalesce((
            SELECT string_agg(
                to_json(key)::text || ':'
                    -- Most values are text: calling for each of them would take twice as long.
                    || CASE jsonb_typeof(value) WHEN 'string' THEN value::text ELSE ledger_canonical(value) END,
                ',' ORDER BY key COLLATE "C"
            ) FROM jsonb_each(p_value) WHERE octet_length(key) = length(key)
        ), '') || '}';
    ELSIF jsonb_typeof(p_value) = 'array' THEN
        RETURN '[' || coalesce((
            SELECT string_agg(ledger_canonical(value), ',' ORDER BY place)
            FROM jsonb_array_elements(p_value) WITH ORDINALITY AS item(value, place)
        ), '') || ']';
    ELSIF jsonb_typeof(p_value) = 'number' AND (
        scale(p_value::numeric) > 0 OR abs(p_value::numeric) > 9007199254740991
    ) THEN
        RETURN NULL;
    END IF;
    RETURN p_value::text;
END $$;
"""

# One round trip appends a fact: it finds the end of the stream, writes the canonical body around the facts, chains and
# stamps it, and stores postings and openings with it. SECURITY DEFINER: the application needs no right to write the
# tables themselves. Without sequential scans, because a plan that was kept while a table was small would be used until
# the next ANALYZE. All values that enter the body unquoted by JSON are held to shapes that need no quoting. Conditions
# and the body are plain expressions: PL/pgSQL takes forty times as long over one with a query in it.
APPEND = r"""
CREATE FUNCTION ledger_append(
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
    v_count integer := coalesce(greatest(
        cardinality(p_accounts), cardinality(p_owners), cardinality(p_currencies), cardinality(p_amounts)), 0);
    v_lines text := '';
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
        OR v_largest < ANY (p_amounts) OR -v_largest > ANY (p_amounts)
    THEN
        RAISE EXCEPTION 'not a ledger entry' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What one of the arrays lacks is NULL, and makes the body NULL, which is refused.
    FOR line IN 1..v_count LOOP
        v_lines := v_lines || CASE WHEN line > 1 THEN ',' ELSE '' END
            || '["' || p_accounts[line] || '","' || p_currencies[line] || '",' || p_amounts[line] || ']';
    END LOOP;
    v_head := '{"entry_id":"' || p_entry_id || '","evidence":' || coalesce('"' || p_evidence || '"', 'null')
        || ',"facts":' || p_facts || ',"kind":"' || p_kind || '","nonce":"' || p_nonce
        || '","occurred_at":"' || to_char(p_occurred_at AT TIME ZONE 'UTC', v_iso)
        || '","postings":[' || v_lines || '],"prev":';
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
            IF v_count > 0 THEN
                INSERT INTO ledger_posting (entry_id, place, account, owner_id, currency, amount_minor)
                    SELECT id, line, account, p_owners[line], p_currencies[line], p_amounts[line]
                    FROM unnest(p_accounts) WITH ORDINALITY AS posting(account, line);
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
"""
APPEND_ARGUMENTS = (
    "text, text, text, text, text, timestamptz, text, text, text, text, bytea, bytea, text[], text[], text[], bigint[]"
)

# Whoever inserts: number, time and transaction are PostgreSQL's to say, a stream has no gap, and what is acknowledged
# survives a crash. A time of just now stands, for the body tells it, too.
STAMP = """
CREATE FUNCTION ledger_entry_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
    -- Two conditions: as one, they would be planned anew for each entry that begins a stream.
    IF NEW.stream_seq > 1 THEN
        PERFORM FROM ledger_entry WHERE stream_id = NEW.stream_id AND stream_seq = NEW.stream_seq - 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'stream % has no entry before number %', NEW.stream_id, NEW.stream_seq
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
"""

# An entry is committed soon after it was written: its time can be trusted, and checked against the log's.
PROMPT = """
CREATE FUNCTION ledger_entry_prompt() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF clock_timestamp() - NEW.recorded_at > interval '50 seconds' THEN
        RAISE EXCEPTION 'entry % was written too long before it is committed', NEW.entry_id
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'ledger entries need synchronous_commit' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
"""

# Postings and openings come with their entry, in its transaction: nothing is added to an old one. All rows of a
# statement are judged at once, for they come in one; each looked up by itself, lest a plan reads the table whole.
WITH_ENTRY = """
CREATE FUNCTION ledger_with_entry() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- By its number alone: looked for by transaction, an entry of a large one is far to find.
    PERFORM FROM told
        WHERE (SELECT xid FROM ledger_entry WHERE id = told.entry_id) IS DISTINCT FROM pg_current_xact_id();
    IF FOUND THEN
        RAISE EXCEPTION '% belongs to no entry of this transaction', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""

# Zero in each currency after every statement, and so at COMMIT: rows are only added, so those of the statement tell.
BALANCED = """
CREATE FUNCTION ledger_posting_balanced() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM told GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0;
    IF FOUND THEN
        RAISE EXCEPTION 'the postings of an entry do not add up to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_entries_balance';
    END IF;
    RETURN NULL;
END $$;
"""

# Whose accounts an entry's postings move, its openings prove. All others may be erased.
OPENING_KEPT = """
CREATE FUNCTION ledger_opening_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_posting WHERE entry_id = OLD.entry_id) THEN
        RAISE EXCEPTION 'entry % has postings: its openings are kept', OLD.entry_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;
"""

# The tree only grows, by the leaves that are there, and its time only goes forward.
HEAD_STAMP = """
CREATE FUNCTION ledger_head_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    v_last record;
BEGIN
    NEW.created_at := clock_timestamp();
    SELECT size, created_at INTO v_last FROM ledger_head ORDER BY size DESC LIMIT 1;
    IF v_last.size >= NEW.size THEN
        RAISE EXCEPTION 'the log has % entries already', v_last.size USING ERRCODE = 'integrity_constraint_violation';
    ELSIF NEW.size IS DISTINCT FROM (SELECT max(index) + 1 FROM ledger_leaf) THEN
        RAISE EXCEPTION 'the log has other than % leaves', NEW.size USING ERRCODE = 'integrity_constraint_violation';
    ELSIF v_last.created_at >= NEW.created_at THEN
        RAISE EXCEPTION 'the clock went back behind %', v_last.created_at
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""

CREATION_STAMP = """
CREATE FUNCTION ledger_created_now() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;
"""

EVENT_CLAIM = """
CREATE FUNCTION ledger_event_claimed_once() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF OLD.conversion_id IS NOT NULL THEN
        RAISE EXCEPTION 'event % belongs to a conversion already', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""

# FROM CURRENT takes over a path that ends in pg_temp. A session's temporary tables would come first otherwise: one
# called ledger_entry, with a trigger, would run its owner's code with the rights of ours.
_PATH = "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);\n"

FUNCTIONS = {
    "ledger_canonical": CANONICAL,
    "ledger_append": _PATH + APPEND,
    "ledger_entry_stamp": _PATH + STAMP,
    "ledger_entry_prompt": _PATH + PROMPT,
    "ledger_with_entry": _PATH + WITH_ENTRY,
    "ledger_posting_balanced": _PATH + BALANCED,
    "ledger_opening_kept": _PATH + OPENING_KEPT,
    "ledger_head_stamp": _PATH + HEAD_STAMP,
    "ledger_created_now": _PATH + CREATION_STAMP,
    "ledger_event_claimed_once": _PATH + EVENT_CLAIM,
}

# name -> (table, what it fires on, the function it calls). AFTER INSERT waits for COMMIT, EACH has new rows as `told`.
_ROWS_TOLD = "AFTER EACH INSERT"
TRIGGERS = {
    "ledger_entry_stamp": ("ledger_entry", "BEFORE INSERT", "ledger_entry_stamp"),
    "ledger_entry_prompt": ("ledger_entry", "AFTER INSERT", "ledger_entry_prompt"),
    "ledger_posting_with_entry": ("ledger_posting", _ROWS_TOLD, "ledger_with_entry"),
    "ledger_opening_with_entry": ("ledger_opening", _ROWS_TOLD, "ledger_with_entry"),
    "ledger_posting_balanced": ("ledger_posting", _ROWS_TOLD, "ledger_posting_balanced"),
    "ledger_opening_kept": ("ledger_opening", "BEFORE DELETE", "ledger_opening_kept"),
    "ledger_head_stamp": ("ledger_head", "BEFORE INSERT", "ledger_head_stamp"),
    "ledger_checkpoint_stamp": ("ledger_checkpoint", "BEFORE INSERT", "ledger_created_now"),
    "ledger_cosignature_stamp": ("ledger_cosignature", "BEFORE INSERT", "ledger_created_now"),
    "ledger_logkey_stamp": ("ledger_logkey", "BEFORE INSERT", "ledger_created_now"),
    "ledger_event_claimed_once": ("ledger_event", "BEFORE UPDATE OF conversion_id", "ledger_event_claimed_once"),
}


def create_trigger(name: str) -> str:
    """SQL that puts one of `TRIGGERS` on its table, firing even under session_replication_role = replica."""
    table, when, function = TRIGGERS[name]
    if when == _ROWS_TOLD:
        what = f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS told FOR EACH STATEMENT"
    elif when == "AFTER INSERT":  # these judge at COMMIT
        what = f"AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    else:
        what = f"{when} ON {table} FOR EACH ROW"
    kind = "CONSTRAINT TRIGGER" if "DEFERRABLE" in what else "TRIGGER"
    return (
        f"CREATE {kind} {name} {what} EXECUTE FUNCTION {function}();\n"
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};\n"
    )
