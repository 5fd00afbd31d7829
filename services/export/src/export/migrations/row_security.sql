-- Export's lines of row-level security (chassis/sql/row_security.sql says what they mean). Bundles are the service's own to sign.
select pg_temp.may('see', 'snapshots', '{snapshot.read,submission.draft,submission.edit}');

-- Submissions: seen in every state by whoever acts on them, changed only from the states that the table names.
select pg_temp.may('see', 'submissions', '{submission.draft,submission.edit,submission.read,submission.approve,submission.download}');
select pg_temp.may('add', 'submissions', '{submission.draft}',
    added => $sql$drafted_by = (select acting_subject()) and state = 'draft'$sql$);
select pg_temp.may('change', 'submissions', '{submission.edit}', states => '{draft,signing,signed}', added => $sql$state = 'draft'$sql$);
select pg_temp.may('change', 'submissions', '{submission.approve}', states => '{draft,signing,signed}',
    added => $sql$state = 'signing'$sql$);

select pg_temp.may('see', 'approvals', '{submission.draft,submission.edit,submission.read,submission.approve}');
select pg_temp.may('add', 'approvals', '{submission.approve}', offices => '{cochair_un,cochair_unicef}',
    added => 'approved_by = (select acting_subject())');
select pg_temp.may('see', 'bundles', '{submission.draft,submission.edit,submission.read,submission.approve,submission.download}');
