//! The filter against a scripted host: what it does, call by call, without an Envoy.

mod connections;
mod holes;
mod requests;

use crate::scripted::{ScriptedHost, ScriptedStream};
use crate::{Action, Connection, PluginInstance, Worker};
use serde_json::Value;
use std::rc::Rc;

/// A worker whose host the test scripts.
struct Stage {
    host: Rc<ScriptedHost>,
    worker: Rc<Worker>,
}

impl Stage {
    fn new() -> Self {
        let host = Rc::new(ScriptedHost::default());
        host.seconds.set(Some(1_000));
        let worker = Worker::new(Box::new(Rc::clone(&host)));
        worker.on_start();
        Self { host, worker }
    }

    /// An instance of a plugin with a configuration.
    fn plugin(&self, name: &str, config: &Value) -> Rc<PluginInstance> {
        let instance = PluginInstance::new(&self.worker);
        assert!(instance.configure(name.as_bytes(), config.to_string().as_bytes()), "{config}");
        instance
    }

    /// A connection of `ns/a/sa/x` to an instance, at the listener on port 8443.
    fn connect(instance: &Rc<PluginInstance>) -> Talk {
        Self::connect_at(instance, "10.0.0.1:8443")
    }

    fn connect_at(instance: &Rc<PluginInstance>, listener: &str) -> Talk {
        let stream = ScriptedStream::default()
            .with("peer_certificate", "spiffe://cluster.local/ns/a/sa/x")
            .with("destination_address", listener)
            .with("cluster_name", "outbound|443||site.example")
            .with("upstream_address", "9.9.9.9:443");
        stream.now.set(1_000);
        let connection = Connection::new(Rc::clone(instance), Box::new(stream.clone()));
        assert_eq!(connection.on_new(), Action::Continue);
        Talk { stream, connection }
    }
}

/// A connection and the stream below it.
struct Talk {
    stream: ScriptedStream,
    connection: Connection,
}

impl Talk {
    /// The client sends bytes. What passes leaves Envoy's buffer.
    fn client(&self, bytes: &[u8]) -> Action {
        self.stream.client.borrow_mut().extend_from_slice(bytes);
        let size = self.stream.client.borrow().len();
        let action = self.connection.on_client_bytes(size, false);
        if action == Action::Continue {
            self.stream.client.borrow_mut().clear();
        }
        action
    }

    /// The site sends bytes.
    fn site(&self, bytes: &[u8]) -> Action {
        self.stream.site.replace(bytes.to_vec());
        self.connection.on_site_bytes(bytes.len())
    }
}
