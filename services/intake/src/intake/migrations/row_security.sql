-- Intake's lines of row-level security (chassis/sql/row_security.sql says what they mean). A monitor is a mark here.
create or replace function pg_temp.own() returns text language sql as $$
    select $sql$'monitor:' || encode(submitter, 'hex') = (select acting_subject())$sql$
$$;

select pg_temp.may_publish('{incident.submit,incident.revise}');

select pg_temp.may('see', 'incidents', '{incident.submit,incident.revise,incident.status,incident.list}', owner => pg_temp.own());
select pg_temp.may('add', 'incidents', '{incident.submit}', added => pg_temp.own());
select pg_temp.may('change', 'incidents', '{incident.revise}', owner => pg_temp.own());

select pg_temp.may('see', 'revisions', '{incident.submit,incident.revise}', also => $sql$exists (
    select from incidents i where i.situation = revisions.situation and i.incident = revisions.incident
)$sql$);
select pg_temp.may('add', 'revisions', '{incident.submit,incident.revise}');

select pg_temp.may('see', 'devices', '{device.add,device.list,device.count,device.revoke,device.revoke_all}', owner => pg_temp.own());
select pg_temp.may('add', 'devices', '{device.add}', added => pg_temp.own());
select pg_temp.may('change', 'devices', '{device.revoke,device.revoke_all}', owner => pg_temp.own());
select pg_temp.may('see', 'devices', '{incident.submit,incident.revise}', also => pg_temp.own());
select pg_temp.may('lock', 'devices', '{incident.submit,incident.revise}', also => pg_temp.own());
