-- Aggregation's lines of row-level security (chassis/sql/row_security.sql says what they mean). Figures are the service's own to write.
select pg_temp.may_publish('{snapshot.freeze}');

select pg_temp.may(act, 'ledgers', '{counts.read,snapshot.freeze,counts.rebuild}') from unnest(array['see', 'lock']) as acts (act);
select pg_temp.may('see', 'positions', '{counts.read,snapshot.freeze}');
select pg_temp.may('see', format('%I.%I', schemaname, tablename), '{counts.read,snapshot.freeze}')
from pg_tables where schemaname in ('counts_a', 'counts_b');

select pg_temp.may('see', 'snapshots', '{snapshot.freeze,snapshot.read}');
select pg_temp.may('add', 'snapshots', '{snapshot.freeze}', added => 'frozen_by = (select acting_subject())');
select pg_temp.may('see', 'releases', '{counts.read,snapshot.freeze,snapshot.read}');
select pg_temp.may('add', 'releases', '{snapshot.freeze}', added => 'released_by = (select acting_subject())');

select pg_temp.may('see', 'rebuilds', '{counts.rebuild}');
select pg_temp.may('add', 'rebuilds', '{counts.rebuild}', added => $sql$asked_by = (select acting_subject()) and state = 'clearing'$sql$);
select pg_temp.may('change', 'rebuilds', '{counts.rebuild}', added => $sql$asked_by = (select acting_subject()) and state = 'clearing'$sql$);
