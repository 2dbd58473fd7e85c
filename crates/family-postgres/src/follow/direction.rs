//! The port.

use std::sync::Arc;

use async_trait::async_trait;
use family::{
    ChangeStream, FillPart, Filled, Follow, FollowMode, FollowSpec, Offset, PortError, Retained,
    Trouble,
};
use model::{Dataset, Frontier};

use super::names::SCHEMA;
use super::shared::{Shared, Work};
use super::source::insert_lsn;
use super::stream::Stream;
use super::{capture, code, fill, ours, prepare, split};
use crate::conn::Link;

/// One direction from one cluster to another.
pub(crate) struct Direction {
    shared: Arc<Shared>,
}

impl Direction {
    /// Touches nothing yet.
    pub(crate) fn new(from: Arc<Link>, to: Arc<Link>, spec: FollowSpec) -> Self {
        Self { shared: Arc::new(Shared::new(from, to, spec)) }
    }
}

#[async_trait]
impl Follow for Direction {
    async fn capture(&self) -> Result<(), PortError> {
        capture::capture(&self.shared).await
    }

    async fn prepare(&self) -> Result<Vec<String>, PortError> {
        prepare::prepare(&self.shared).await
    }

    async fn fill(&self, part: &FillPart, from: Option<&Frontier>) -> Result<Filled, PortError> {
        fill::fill(&self.shared, part, from).await
    }

    async fn split(&self, dataset: &Dataset, most: usize) -> Result<Vec<FillPart>, PortError> {
        split::split(&self.shared, dataset, most).await
    }

    async fn complete(&self) -> Result<Vec<String>, PortError> {
        prepare::complete(&self.shared).await
    }

    async fn stream(&self) -> Result<Box<dyn ChangeStream>, PortError> {
        Ok(Box::new(Stream::open(&self.shared).await?))
    }

    fn set_mode(&self, mode: FollowMode) {
        self.shared.set_mode(mode);
    }

    async fn head(&self) -> Result<Offset, PortError> {
        let shared = &self.shared;
        let mut asking = shared.asking.lock().await;
        let mut conn = shared.asker(&mut asking).await?;
        let head = insert_lsn(&mut conn).await?;
        *asking = Some(conn);
        shared.want(head);
        Ok(Offset(head.0))
    }

    async fn begin(&self) -> Result<Offset, PortError> {
        let shared = &self.shared;
        ours::adopt(shared).await?;
        let mut from = shared.connect(&shared.from, Work::Ask).await?;
        let head = insert_lsn(&mut from).await?;
        from.close().await;
        let mut to = shared.connect(&shared.to, Work::Ask).await?;
        let sql = format!(
            "UPDATE {SCHEMA}.progress SET upto = greatest(upto, '{head}'), begun = true WHERE {}",
            ours::mine(&shared.names)
        );
        let begun = to.ask(&sql).await?.count();
        to.close().await;
        if begun == 0 {
            let message = format!("{}: its changes were never captured", shared.from.address());
            return Err(PortError::new(Trouble::Replaced, code::LOST, message));
        }
        shared.raise_floor(head);
        shared.desk.set_begun();
        Ok(Offset(head.0))
    }

    async fn carry(&self) -> Result<(), PortError> {
        prepare::carry(&self.shared).await
    }

    async fn retained(&self) -> Result<Option<Retained>, PortError> {
        capture::retained(&self.shared).await
    }

    async fn release(&self) -> Result<(), PortError> {
        self.shared.forget().await;
        capture::release(&self.shared).await
    }
}
