//! Asks a server.

use family::PortError;

use super::Row;
use super::model::Catalog;
use crate::conn::Conn;
use crate::error;

#[allow(dead_code, reason = "the sessions ask for it")]
impl Catalog {
    /// Takes a snapshot over a connection that is in no transaction. Sees the temporary objects
    /// of no session.
    pub(crate) async fn load(conn: &mut Conn) -> Result<Self, PortError> {
        let answers = Self::ask(conn).await;
        // Whatever happened in it, the transaction is over.
        conn.execute(Self::END).await?;
        let unreadable = |what: &dyn std::fmt::Display, conn: &Conn| {
            error::unexpected(&what.to_string(), conn.at())
        };
        Self::from_rows(&answers?).map_err(|error| unreadable(&error, conn))
    }

    async fn ask(conn: &mut Conn) -> Result<Vec<Vec<Row>>, PortError> {
        conn.execute(Self::BEGIN).await?;
        let mut answers = Vec::with_capacity(Self::QUERIES.len());
        for query in Self::QUERIES {
            let mut rows = Vec::new();
            for row in conn.query(query.sql).await? {
                let cells = (0..query.columns).map(|at| Ok(row.opt(at)?.map(str::to_owned)));
                rows.push(cells.collect::<Result<Row, PortError>>()?);
            }
            answers.push(rows);
        }
        Ok(answers)
    }
}
