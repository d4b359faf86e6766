//! Which configurations of a plugin are loaded on one worker, and which of them decide about a connection.
//!
//! Envoy gives each configuration an instance of its own: new traffic comes to the newest, live connections stay with the
//! one that they began with, and nothing tells either of the other. They find each other here, by the plugin's name and
//! type. Two listeners may load different configurations under one name, too, and Envoy does not say which listener a
//! configuration is for. What can be told is which instance a new connection at a listener came to: that one is in force
//! there. A configuration that was loaded since may be the next of that listener or belong to another one, so that a
//! connection has to satisfy it as well. Hence a configuration of another listener never admits anything by itself.

use crate::loaded::LoadedConfig;
use egress_policy::Protocol;
use std::sync::Arc;

/// How often something has changed: a configuration was loaded or given up, or another one is in force at a listener.
/// Where this has not changed, nothing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

/// The configurations of all plugins of one worker.
#[derive(Default)]
pub(crate) struct Registry {
    plugins: Vec<Plugin>,
    epoch: Epoch,
}

/// The configurations under one plugin's name, for one type.
struct Plugin {
    name: Box<str>,
    /// The type that they are configured for, or are loaded as where that turned out to be another one.
    protocol: Protocol,
    /// In the order in which they were loaded.
    loaded: Vec<Loaded>,
    /// What is in force where; kept only while there are several configurations.
    listeners: Vec<Listener>,
    /// Two configurations take new connections of one listener in turn, so that it cannot be told which is in force there.
    is_contested: bool,
    /// Whether the log has been told that a name is used twice.
    is_logged: bool,
}

struct Loaded {
    config: Arc<LoadedConfig>,
    since: Epoch,
}

struct Listener {
    address: Box<[u8]>,
    /// The configuration that the last new connection came to, and when.
    config: Arc<LoadedConfig>,
    confirmed: Epoch,
}

/// Where a connection came from: its instance's configuration, and when.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) config: Arc<LoadedConfig>,
    pub(crate) epoch: Epoch,
}

/// The configurations that a connection has to satisfy, the newest last.
pub(crate) struct Deciding {
    pub(crate) others: Vec<Arc<LoadedConfig>>,
    pub(crate) newest: Arc<LoadedConfig>,
}

// === impl Registry ===

impl Registry {
    /// How often something has changed.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A configuration was accepted.
    pub(crate) fn load(&mut self, name: &str, config: &Arc<LoadedConfig>) {
        self.load_as(name, config.engine.settings().protocol, config);
    }

    fn load_as(&mut self, name: &str, protocol: Protocol, config: &Arc<LoadedConfig>) {
        self.epoch.0 += 1;
        let loaded = Loaded { config: Arc::clone(config), since: self.epoch };
        match self.plugin_mut(name, protocol) {
            Some(plugin) => plugin.loaded.push(loaded),
            None => self.plugins.push(Plugin {
                name: name.into(),
                protocol,
                loaded: vec![loaded],
                listeners: Vec::new(),
                is_contested: false,
                is_logged: false,
            }),
        }
    }

    /// Envoy has given up a configuration. If it was in force, the one before it is again.
    pub(crate) fn unload(&mut self, name: &str, config: &Arc<LoadedConfig>) {
        for plugin in self.plugins.iter_mut().filter(|plugin| *plugin.name == *name) {
            plugin.unload(config);
        }
        self.plugins.retain(|plugin| !plugin.loaded.is_empty());
        self.epoch.0 += 1;
    }

    /// The names of all plugins, each once.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        let mut names: Vec<_> = self.plugins.iter().map(|plugin| plugin.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The newest configuration of each type under a plugin's name.
    pub(crate) fn newest(&self, name: &str) -> Vec<Arc<LoadedConfig>> {
        let of_name = self.plugins.iter().filter(|plugin| *plugin.name == *name);
        of_name.filter_map(|plugin| plugin.loaded.last()).map(|loaded| Arc::clone(&loaded.config)).collect()
    }

    /// A new connection came to an instance, which is loaded as NETWORK then. `listener` reads the gateway's address that it came to; it is asked only
    /// where several configurations are loaded.
    pub(crate) fn connect(
        &mut self,
        name: &str,
        config: &Arc<LoadedConfig>,
        listener: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Origin {
        let network = Protocol::Network;
        if self.plugin_mut(name, network).is_none_or(|plugin| plugin.loaded_since(config).is_none()) {
            // It is configured as HTTP, and loaded as NETWORK.
            self.unload(name, config);
            self.load_as(name, network, config);
        }
        let epoch = self.epoch;
        if let Some(plugin) = self.plugin_mut(name, network)
            && plugin.loaded.len() > 1
            && plugin.confirm(config, epoch, listener())
        {
            self.epoch.0 += 1;
        }
        Origin { config: Arc::clone(config), epoch: self.epoch }
    }

    /// The configurations that a connection has to satisfy now.
    pub(crate) fn deciding(
        &self,
        name: &str,
        origin: &Origin,
        listener: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Deciding {
        let plugin = self.plugins.iter().find(|plugin| plugin.is(name, Protocol::Network));
        match plugin.map(|plugin| (plugin, plugin.loaded.as_slice())) {
            None | Some((_, [])) => Deciding { others: Vec::new(), newest: Arc::clone(&origin.config) },
            // Also where it took the place of the connection's own.
            Some((_, [only])) => Deciding { others: Vec::new(), newest: Arc::clone(&only.config) },
            Some((plugin, _)) => plugin.deciding(origin, listener()),
        }
    }

    fn plugin_mut(&mut self, name: &str, protocol: Protocol) -> Option<&mut Plugin> {
        self.plugins.iter_mut().find(|plugin| plugin.is(name, protocol))
    }
}

// === impl Plugin ===

impl Plugin {
    fn is(&self, name: &str, protocol: Protocol) -> bool {
        *self.name == *name && self.protocol == protocol
    }

    fn unload(&mut self, config: &Arc<LoadedConfig>) {
        self.loaded.retain(|loaded| !Arc::ptr_eq(&loaded.config, config));
        self.listeners.retain(|listener| !Arc::ptr_eq(&listener.config, config));
        if self.loaded.len() <= 1 {
            self.listeners.clear();
            self.is_contested = false;
        }
    }

    fn loaded_since(&self, config: &Arc<LoadedConfig>) -> Option<Epoch> {
        self.loaded.iter().find(|loaded| Arc::ptr_eq(&loaded.config, config)).map(|loaded| loaded.since)
    }

    /// A configuration takes new connections at a listener. Whether that changes what decides there.
    fn confirm(&mut self, config: &Arc<LoadedConfig>, now: Epoch, address: Option<Vec<u8>>) -> bool {
        let (Some(address), Some(since)) = (address, self.loaded_since(config)) else {
            return !std::mem::replace(&mut self.is_contested, true);
        };
        let changes = match self.listeners.iter_mut().find(|listener| *listener.address == *address) {
            None => {
                let (address, config) = (address.into(), Arc::clone(config));
                self.listeners.push(Listener { address, config, confirmed: now });
                false
            }
            Some(listener) if Arc::ptr_eq(&listener.config, config) => {
                listener.confirmed = now;
                false
            }
            Some(listener) => {
                // It was loaded before the other one was in force here: this is no update, and the other may come back.
                let returns = since <= listener.confirmed;
                listener.config = Arc::clone(config);
                listener.confirmed = now;
                // The newest is what gauges speak of.
                if let Some(at) = self.loaded.iter().position(|loaded| Arc::ptr_eq(&loaded.config, config)) {
                    let loaded = self.loaded.remove(at);
                    self.loaded.push(loaded);
                }
                let was_contested = self.is_contested;
                self.is_contested |= returns;
                !was_contested
            }
        };
        self.log_twofold();
        changes
    }

    fn deciding(&self, origin: &Origin, address: Option<Vec<u8>>) -> Deciding {
        let all = || self.loaded.iter().map(|loaded| &loaded.config);
        let Some(address) = address.filter(|_| !self.is_contested) else {
            return Deciding::of(all()).unwrap_or_else(|| Deciding::only(&origin.config));
        };
        let listener = self.listeners.iter().find(|listener| *listener.address == *address);
        let (base, since) = match listener.filter(|listener| listener.confirmed >= origin.epoch) {
            Some(listener) => (&listener.config, listener.confirmed),
            None => (&origin.config, origin.epoch),
        };
        let is_loaded = self.loaded_since(base).is_some();
        let later = self.loaded.iter().filter(|loaded| loaded.since > since).map(|loaded| &loaded.config);
        let later = later.filter(|config| !Arc::ptr_eq(config, base));
        let base = is_loaded.then_some(base);
        Deciding::of(base.into_iter().chain(later))
            .or_else(|| Deciding::of(all()))
            .unwrap_or_else(|| Deciding::only(&origin.config))
    }

    /// Says once that two listeners, or one listener in turn, have different configurations under one name.
    fn log_twofold(&mut self) {
        let is_in_force_after = |listener: &Listener, other: &Listener| {
            self.loaded_since(&other.config).is_some_and(|since| listener.confirmed >= since)
        };
        let differ = self.listeners.iter().enumerate().any(|(at, one)| {
            self.listeners.iter().skip(at + 1).any(|other| {
                !Arc::ptr_eq(&one.config, &other.config)
                    && is_in_force_after(one, other)
                    && is_in_force_after(other, one)
            })
        });
        if (differ || self.is_contested) && !std::mem::replace(&mut self.is_logged, true) {
            log::warn!(
                "egress-authz: several filters named {:?} are loaded with different configurations at the same time; after \
                 a change of one, live connections of the others have to satisfy both: give each plugin a name of its own",
                self.name
            );
        }
    }
}

// === impl Deciding ===

impl Deciding {
    fn only(config: &Arc<LoadedConfig>) -> Self {
        Self { others: Vec::new(), newest: Arc::clone(config) }
    }

    /// `None` for no configurations.
    fn of<'c>(configs: impl Iterator<Item = &'c Arc<LoadedConfig>>) -> Option<Self> {
        let mut others: Vec<_> = configs.map(Arc::clone).collect();
        let newest = others.pop()?;
        Some(Self { others, newest })
    }

    /// All of them, the newest last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LoadedConfig>> {
        self.others.iter().chain([&self.newest])
    }
}
