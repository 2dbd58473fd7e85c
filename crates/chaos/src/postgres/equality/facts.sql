-- Everything a schema says about itself, one statement per kind, each answering with the object's
-- name and what is true of it. `{theirs}` is true of a namespace `n` that counts.

-- kind: schema
SELECT format('%I', n.nspname), concat_ws(' ', 'owner', n.nspowner::regrole, (SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, CASE WHEN is_grantable THEN '*' END), ',' ORDER BY grantee::regrole::text, privilege_type) FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) WHERE privilege_type <> 'MAINTAIN'))
FROM pg_namespace n WHERE {theirs} AND n.nspname <> 'public';

-- kind: relation
SELECT format('%I.%I', n.nspname, c.relname), concat_ws(' ', c.relkind, c.relpersistence, 'owner', c.relowner::regrole, CASE WHEN c.relrowsecurity THEN 'rls' END, CASE WHEN c.relforcerowsecurity THEN 'force rls' END, 'identity', c.relreplident, CASE WHEN NOT c.relispopulated THEN 'unpopulated' END, array_to_string(ARRAY(SELECT unnest(c.reloptions) ORDER BY 1), ','), pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid), 'of ' || (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid), 'acl ' || (SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, CASE WHEN is_grantable THEN '*' END), ',' ORDER BY grantee::regrole::text, privilege_type) FROM aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))) WHERE privilege_type <> 'MAINTAIN'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c');

-- kind: column
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname), concat_ws(' ', 'no', row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END, 'default ' || pg_get_expr(d.adbin, d.adrelid), 'identity ' || nullif(a.attidentity, '')::text, 'generated ' || nullif(a.attgenerated, '')::text, 'collate ' || nullif(a.attcollation, t.typcollation)::regcollation::text, 'storage', a.attstorage, 'compression ' || nullif(a.attcompression, '')::text, CASE WHEN NOT a.attislocal THEN 'inherited' END, 'acl ' || (SELECT string_agg(format('%s:%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type), ',' ORDER BY grantee::regrole::text, privilege_type) FROM aclexplode(a.attacl)))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE {theirs} AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c');

-- kind: constraint
SELECT format('%s.%I', coalesce(nullif(o.conrelid, 0)::regclass::text, o.contypid::regtype::text), o.conname), concat_ws(' ', pg_get_constraintdef(o.oid), CASE WHEN o.convalidated THEN 'valid' ELSE 'NOT VALID' END, CASE WHEN o.condeferrable THEN 'deferrable' END, CASE WHEN o.condeferred THEN 'deferred' END, CASE WHEN o.connoinherit AND o.contype = 'c' THEN 'no inherit' END)
FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace WHERE {theirs} AND o.contype <> 'n';

-- kind: index
SELECT i.indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN 'valid' ELSE 'INVALID' END, CASE WHEN i.indisreplident THEN 'replica identity' END, CASE WHEN i.indisclustered THEN 'clustered' END, CASE WHEN NOT i.indimmediate THEN 'deferrable' END, 'of ' || (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = i.indexrelid))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs};

-- kind: trigger
SELECT format('%s.%I', t.tgrelid::regclass, t.tgname), pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs} AND NOT t.tgisinternal;

-- kind: rule
SELECT format('%s.%I', r.ev_class::regclass, r.rulename), pg_get_ruledef(r.oid) || ' ' || r.ev_enabled::text
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs} AND r.rulename <> '_RETURN';

-- kind: policy
SELECT format('%s.%I', p.polrelid::regclass, p.polname), concat_ws(' ', p.polcmd, p.polpermissive, ARRAY(SELECT r::regrole::text FROM unnest(p.polroles) AS r ORDER BY 1), pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs};

-- kind: function
SELECT p.oid::regprocedure::text, concat_ws(' ', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggtranstype::regtype, g.agginitval) FROM pg_aggregate g WHERE g.aggfnoid = p.oid) END, 'owner', p.proowner::regrole, (SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, CASE WHEN is_grantable THEN '*' END), ',' ORDER BY grantee::regrole::text, privilege_type) FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {theirs} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'));

-- kind: type
SELECT t.oid::regtype::text, concat_ws(' ', t.typtype, 'owner', t.typowner::regrole, nullif(t.typbasetype, 0)::regtype, CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault, (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), (SELECT concat_ws(' ', r.rngsubtype::regtype, r.rngmultitypid::regtype) FROM pg_range r WHERE r.rngtypid = t.oid))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {theirs} AND t.typtype IN ('e', 'd', 'r') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e');

-- kind: sequence options
SELECT s.seqrelid::regclass::text, concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, (SELECT string_agg(concat_ws(' ', 'owned by', d.refobjid::regclass, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid), d.deptype), ',') FROM pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.seqrelid AND d.deptype IN ('a', 'i')))
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs};

-- kind: statistics
SELECT format('%I.%I', n.nspname, s.stxname), concat_ws(' ', pg_get_statisticsobjdef(s.oid), s.stxowner::regrole)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {theirs};

-- kind: default privileges
SELECT concat_ws(' ', d.defaclrole::regrole, d.defaclobjtype, n.nspname), (SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, CASE WHEN is_grantable THEN '*' END), ',' ORDER BY grantee::regrole::text, privilege_type) FROM aclexplode(d.defaclacl) WHERE privilege_type <> 'MAINTAIN')
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE d.defaclnamespace = 0 OR {theirs};

-- kind: extension
SELECT e.extname::text, n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql';

-- kind: comment
SELECT (pg_identify_object(d.classoid, d.objoid, d.objsubid)).identity, d.description
FROM pg_description d WHERE d.objoid >= 16384 AND d.classoid <> 'pg_catalog.pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e');

-- kind: large object
SELECT loid::text, md5(string_agg(data, ''::bytea ORDER BY pageno)) FROM pg_largeobject GROUP BY loid;

-- kind: setting of database or role
SELECT concat_ws(' ', d.datname, s.setrole::regrole), array_to_string(ARRAY(SELECT unnest(s.setconfig) ORDER BY 1), ', ')
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setdatabase = 0 OR d.datname = current_database();

-- kind: prepared transaction
SELECT gid, owner || ' in ' || database FROM pg_prepared_xacts;

-- kind: view of the same version
SELECT format('%I.%I', n.nspname, c.relname), pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {theirs} AND c.relkind IN ('v', 'm');

-- kind: role
SELECT r.rolname::text, concat_ws(' ', CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolinherit THEN 'inherit' END, CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolreplication THEN 'replication' END, CASE WHEN r.rolbypassrls THEN 'bypassrls' END, r.rolconnlimit, r.rolvaliduntil, md5(r.rolpassword), 'in ' || (SELECT string_agg(m.roleid::regrole::text, ',' ORDER BY m.roleid::regrole::text) FROM pg_auth_members m WHERE m.member = r.oid))
FROM pg_authid r WHERE r.rolname !~ '^pg_' AND r.rolname NOT IN ('postgres', 'exodus_worker');
