-- Everything in a database that keeps rows whole and apart, as one text: for each thing a line with its kind, its name and a hash of it.
-- Names only, no oids, sorted by bytes; rights of owners themselves are left out, so that the text is the same on every machine.
with schemas as (
    select oid, nspname, nspowner, nspacl from pg_namespace where nspname not like 'pg\_%' and nspname <> 'information_schema'
), relations as (
    select c.*, case nspname when 'public' then '' else quote_ident(nspname) || '.' end || quote_ident(relname) as name
    from pg_class c join schemas n on n.oid = relnamespace where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
), functions as (
    select p.*, p.oid::regprocedure::text as name from pg_proc p join schemas n on n.oid = pronamespace
), granted (kind, name, owner, acl) as (
    select 'privileges on schema', quote_ident(nspname), nspowner, coalesce(nspacl, acldefault('n', nspowner)) from schemas
    union all
    select 'privileges on', name, relowner, coalesce(relacl, acldefault(case relkind when 'S' then 's'::"char" else 'r' end, relowner))
    from relations
    union all
    select 'privileges on column', name || '.' || quote_ident(attname), relowner, attacl
    from pg_attribute join relations r on r.oid = attrelid where attnum > 0 and not attisdropped
    union all
    select 'privileges on function', name, proowner, coalesce(proacl, acldefault('f', proowner)) from functions
    union all
    select 'default privileges of', format('%s, %s, %s', pg_get_userbyid(defaclrole), coalesce(nspname, 'everywhere'), defaclobjtype), 0, defaclacl
    from pg_default_acl left join pg_namespace n on n.oid = defaclnamespace
    union all                                                     -- CONNECT and TEMPORARY are the installation's to give
    select 'privileges on', 'the database', datdba, (select array_agg(one) from unnest(datacl) as one
        where exists (select from aclexplode(array[one]) where privilege_type = 'CREATE'))
    from pg_database where datname = current_database()
), things (kind, name, definition) as (
    select kind, name, (
        select string_agg(
            concat_ws(' ', case grantee when 0 then 'public' else pg_get_userbyid(grantee) end, privilege_type, is_grantable), ','
            order by case grantee when 0 then 'public' else pg_get_userbyid(grantee) end collate "C", privilege_type, is_grantable
        ) from aclexplode(acl) where grantee <> owner or owner = 0
    ) from granted
    union all
    select 'schema', quote_ident(nspname), pg_get_userbyid(nspowner) from schemas
    union all
    select case relkind when 'v' then 'view' when 'm' then 'view' when 'S' then 'sequence' else 'table' end, name, concat_ws(' ',
        relkind, relpersistence, pg_get_userbyid(relowner), pg_get_expr(relpartbound, oid),
        case when relkind in ('v', 'm') then concat_ws(' ', reloptions, pg_get_viewdef(oid)) end,
        (select string_agg(inhparent::regclass::text, ',' order by inhseqno) from pg_inherits where inhrelid = relations.oid)
    ) from relations
    union all
    select 'row security of', name, concat_ws(' ', relrowsecurity, relforcerowsecurity) from relations where relkind in ('r', 'p')
    union all
    select 'column', name || '.' || quote_ident(attname), concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity,
        attgenerated, pg_get_expr(adbin, adrelid))
    from pg_attribute join relations r on r.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relkind in ('r', 'p', 'f') and attnum > 0 and not attisdropped
    union all                                                     -- what a constraint between tables is kept by may be off as well
    select 'constraint', quote_ident(conname) || ' of ' || coalesce(r.name, format_type(contypid, null)), concat_ws(' ',
        contype, convalidated, pg_get_constraintdef(c.oid),
        (select string_agg(tgenabled::text, '' order by tgenabled) from pg_trigger where tgconstraint = c.oid and tgisinternal)
    )
    from pg_constraint c join schemas n on n.oid = connamespace left join relations r on r.oid = conrelid where contype not in ('n', 't')
    union all
    select 'unique index', i.relname || ' of ' || r.name, concat_ws(' ', indisprimary, indisvalid, indisready, pg_get_indexdef(indexrelid))
    from pg_index join relations r on r.oid = indrelid join pg_class i on i.oid = indexrelid where indisunique
    union all
    select 'trigger', quote_ident(tgname) || ' of ' || name, concat_ws(' ', tgenabled, pg_get_triggerdef(t.oid))
    from pg_trigger t join relations r on r.oid = tgrelid where not tgisinternal
    union all
    select 'rule', quote_ident(rulename) || ' of ' || name, concat_ws(' ', ev_enabled, pg_get_ruledef(w.oid))
    from pg_rewrite w join relations r on r.oid = ev_class where rulename <> '_RETURN'
    union all
    select 'policy', quote_ident(policyname) || ' of ' || tablename, concat_ws(' ', schemaname, permissive, roles, cmd, qual, ';', with_check)
    from pg_policies
    union all
    select 'function', name, concat_ws(' ', pg_get_userbyid(proowner), prokind, case when prokind <> 'a' then pg_get_functiondef(oid) end)
    from functions
    union all
    select 'event trigger', quote_ident(evtname), concat_ws(' ', evtevent, evtenabled, evttags, evtfoid::regprocedure) from pg_event_trigger
)
select coalesce(string_agg(line, chr(10) order by line collate "C"), '') from (
    select concat_ws(chr(9), kind, translate(name, chr(9) || chr(10), '  '), md5(definition)) from things where definition is not null
) as lines (line)
