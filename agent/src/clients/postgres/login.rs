//! What the agent's own role may do, judged at each login.
//!
//! A superuser needs no grant and obeys no revoke, so neither the read-only transaction nor the list of functions
//! would be worth much under one. Nor is it enough to step down with `SET ROLE`: any statement can step up again. So
//! the roles that the login could become count, not only the one that it is.

use tokio_postgres::{Client, Error};

use crate::domain::CallError;

/// The role that looks.
pub(super) const MONITOR: &str = "CREATE ROLE paramedic_monitor LOGIN IN ROLE pg_read_all_stats";

/// The role that ends sessions. It looks at them as well.
pub(super) const SIGNAL: &str = "CREATE ROLE paramedic_signal LOGIN IN ROLE pg_read_all_stats, pg_signal_backend";

/// Membership is asked for as MEMBER, which covers roles that have to be set first.
const SQL: &str = "\
SELECT EXISTS (
         SELECT FROM pg_catalog.pg_roles r
         WHERE r.rolsuper AND (pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
                               OR pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'))),
       ARRAY (
         SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r
         WHERE r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
           AND (pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
                OR pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'))
         ORDER BY 1)";

/// The powers of a login that reach beyond the database.
pub(super) struct Login {
    superuser: bool,
    server_roles: Vec<String>,
}

/// Asks the server.
pub(super) async fn look_at(client: &Client) -> Result<Login, Error> {
    let row = client.query_typed_one(SQL, &[]).await?;
    Ok(Login { superuser: row.try_get(0)?, server_roles: row.try_get(1)? })
}

impl Login {
    /// Refuses a login that can act as the server itself. `role` makes one that cannot.
    pub(super) fn refuse_powerful(&self, role: &str) -> Result<(), CallError> {
        let power = if self.superuser {
            "is a superuser, or may become one".to_owned()
        } else if self.server_roles.is_empty() {
            return Ok(());
        } else {
            format!("is a member of {}", self.server_roles.join(", "))
        };
        Err(CallError::Unavailable(format!(
            "not used, because the agent's login {power}; give this target a role of its own ({role}), or set \
             allow_superuser"
        )))
    }
}
