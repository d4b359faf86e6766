//! A host that a test scripts: it answers what it is told to, and keeps what was done.

use crate::host::{Host, HostRefused, LocalResponse, MetricId, MetricKind, Stream};
use egress_policy::{Attributes, Claim, Read, Timestamp, Unreadable};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::rc::Rc;

/// A worker.
#[derive(Default)]
pub(crate) struct ScriptedHost {
    /// Seconds of the clock; `None` where Envoy does not tell the time.
    pub(crate) seconds: Cell<Option<i64>>,
    /// How often the clock was read.
    pub(crate) clock_reads: Cell<u32>,
    /// By name, what metrics have come to.
    pub(crate) metrics: RefCell<BTreeMap<String, u64>>,
    /// How often a gauge was set.
    pub(crate) gauges_set: Cell<u32>,
    names: RefCell<Vec<String>>,
    shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    /// Envoy takes nothing.
    pub(crate) is_deaf: Cell<bool>,
}

impl ScriptedHost {
    fn heard<T>(&self, answer: T) -> Result<T, HostRefused> {
        if self.is_deaf.get() { Err(HostRefused) } else { Ok(answer) }
    }
}

impl Host for Rc<ScriptedHost> {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        self.clock_reads.set(self.clock_reads.get() + 1);
        self.seconds.get().map(|seconds| Timestamp::from_unix(seconds, 0)).ok_or(Unreadable)
    }

    fn define_metric(&self, _: MetricKind, name: &str) -> Result<MetricId, HostRefused> {
        let mut names = self.names.borrow_mut();
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        self.heard(MetricId(u32::try_from(at).unwrap()))
    }

    fn increment(&self, metric: MetricId, by: u64) -> Result<(), HostRefused> {
        self.heard(())?;
        let name = self.names.borrow()[metric.0 as usize].clone();
        *self.metrics.borrow_mut().entry(name).or_default() += by;
        Ok(())
    }

    fn record(&self, metric: MetricId, value: u64) -> Result<(), HostRefused> {
        self.heard(())?;
        self.gauges_set.set(self.gauges_set.get() + 1);
        let name = self.names.borrow()[metric.0 as usize].clone();
        self.metrics.borrow_mut().insert(name, value);
        Ok(())
    }

    fn shared(&self, key: &str) -> Read<(Vec<u8>, u32)> {
        Ok(self.shared.borrow().get(key).cloned())
    }

    fn share(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostRefused> {
        let mut shared = self.shared.borrow_mut();
        let known = shared.get(key).map_or(0, |(_, version)| *version);
        if known != version {
            return Err(HostRefused);
        }
        shared.insert(key.to_owned(), (value.to_vec(), known + 1));
        Ok(())
    }
}

/// A request or connection, with its test.
#[derive(Clone, Default)]
pub(crate) struct ScriptedStream(Rc<Script>);

impl Deref for ScriptedStream {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.0
    }
}

/// What a request or connection answers, and what was done with it.
#[derive(Default)]
pub(crate) struct Script {
    /// Attributes by their name in the trait; one that is not there is absent, and `unreadable` ones are not answered.
    pub(crate) attributes: RefCell<HashMap<&'static str, Vec<u8>>>,
    pub(crate) unreadable: RefCell<Vec<&'static str>>,
    /// Calls that Envoy does not carry out.
    pub(crate) refused: RefCell<Vec<&'static str>>,
    pub(crate) is_tls: Cell<bool>,
    pub(crate) now: Cell<i64>,
    /// The client's bytes that Envoy holds, and the site's.
    pub(crate) client: RefCell<Vec<u8>>,
    pub(crate) site: RefCell<Vec<u8>>,
    /// What was done, in order: `filter_state deny[…]`, `answer 403 …`, `close`, `resume`.
    pub(crate) done: RefCell<Vec<String>>,
    /// How often each attribute was read.
    pub(crate) reads: RefCell<HashMap<&'static str, u32>>,
}

impl Script {
    pub(crate) fn set(&self, name: &'static str, value: &str) {
        self.attributes.borrow_mut().insert(name, value.as_bytes().to_vec());
    }

    /// The last filter state.
    pub(crate) fn verdict(&self) -> String {
        let done = self.done.borrow();
        let states = done.iter().rev().filter_map(|line| line.strip_prefix("filter_state "));
        states.map(ToOwned::to_owned).next().unwrap_or_default()
    }

    pub(crate) fn did(&self, what: &str) -> usize {
        self.done.borrow().iter().filter(|line| *line == what).count()
    }

    fn read(&self, name: &'static str) -> Read<Vec<u8>> {
        *self.reads.borrow_mut().entry(name).or_default() += 1;
        if self.unreadable.borrow().contains(&name) {
            return Err(Unreadable);
        }
        Ok(self.attributes.borrow().get(name).cloned())
    }

    fn act(&self, name: &'static str, line: String) -> Result<(), HostRefused> {
        if self.refused.borrow().contains(&name) {
            return Err(HostRefused);
        }
        self.done.borrow_mut().push(line);
        Ok(())
    }
}

impl ScriptedStream {
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }
}

impl Attributes for ScriptedStream {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        self.read("peer_certificate")
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        Ok(self.read("presents_certificate")?.is_some())
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        self.read("peer_filter_state")
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        self.read("server_name")
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        self.read("source_address")
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        self.read("destination_address")
    }

    fn destination_port(&self) -> Read<u16> {
        Ok(self.read("destination_port")?.map(|port| String::from_utf8(port).unwrap().parse().unwrap()))
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        self.read("cluster_name")
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        self.read("upstream_address")
    }

    fn authority(&self) -> Read<Vec<u8>> {
        self.read("authority")
    }

    fn method(&self) -> Read<Vec<u8>> {
        self.read("method")
    }

    fn path(&self) -> Read<Vec<u8>> {
        self.read("path")
    }

    fn header(&self, _: &str) -> Read<Vec<u8>> {
        self.read("header")
    }

    fn claim(&self, _: &[Box<str>]) -> Read<Claim> {
        Ok(self.read("claim")?.map(Claim::Text))
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        self.read("now")?;
        Ok(Timestamp::from_unix(self.now.get(), 0))
    }
}

impl Stream for ScriptedStream {
    fn request_id(&self) -> Read<Vec<u8>> {
        self.read("request_id")
    }

    fn connection_id(&self) -> Read<u64> {
        Ok(Some(1))
    }

    fn is_tls(&self) -> Result<bool, Unreadable> {
        Ok(self.is_tls.get())
    }

    fn set_filter_state(&self, value: &str) -> Result<(), HostRefused> {
        self.act("set_filter_state", format!("filter_state {value}"))
    }

    fn answer(&self, response: &LocalResponse<'_>) -> Result<(), HostRefused> {
        self.act("answer", format!("answer {} {} {:?}", response.status, response.details, response.body))
    }

    fn client_bytes(&self, start: usize, size: usize) -> Read<Vec<u8>> {
        self.read("client_bytes")?;
        Ok(self.client.borrow().get(start..start + size).map(<[u8]>::to_vec))
    }

    fn site_bytes(&self, size: usize) -> Read<Vec<u8>> {
        self.read("site_bytes")?;
        let site = self.site.borrow();
        Ok(Some(site[..size.min(site.len())].to_vec()))
    }

    fn close(&self) -> Result<(), HostRefused> {
        self.act("close", "close".to_owned())
    }

    fn resume(&self) -> Result<(), HostRefused> {
        self.act("resume", "resume".to_owned())
    }

    fn enter(&self) -> Result<(), HostRefused> {
        self.act("enter", "enter".to_owned())
    }
}
