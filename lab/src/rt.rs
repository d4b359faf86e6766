//! One tokio runtime for the whole process, so that the public face can be blocking.

use std::future::Future;
use std::sync::LazyLock;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<anyhow::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the lab's tokio runtime")
});

/// The lab's runtime.
///
/// # Errors
/// When the operating system gives no threads or no poller.
pub(crate) fn runtime() -> anyhow::Result<&'static Runtime> {
    RUNTIME.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// Runs a future to its end on the lab's runtime. Not to be called from inside it.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(future)
}
