//! The baseline: an ordinary filter on the Rust SDK that decides nothing.
//!
//! With `{"calls": 3}` it reads what any filter must read that asks who wants to go where: host, identity and
//! server name. With `{"calls": 0}` it reads nothing, and shows what a wasm filter costs by being there.

#[cfg(target_arch = "wasm32")]
mod filter {
    use proxy_wasm::hostcalls;
    use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
    use proxy_wasm::types::{Action, BufferType, ContextType, MapType};

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Root::default()));
    }}

    #[derive(Default)]
    struct Root {
        network: bool,
        calls: bool,
    }

    impl Context for Root {}

    impl RootContext for Root {
        fn on_configure(&mut self, _size: usize) -> bool {
            let text = self.get_plugin_configuration().unwrap_or_default();
            let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
            (self.network, self.calls) = (has(b"NETWORK"), has(b"3"));
            true
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(if self.network { ContextType::StreamContext } else { ContextType::HttpContext })
        }

        fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Baseline { calls: self.calls, read: 0 }))
        }

        fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
            Some(Box::new(Baseline { calls: self.calls, read: 0 }))
        }
    }

    struct Baseline {
        calls: bool,
        /// What was read, so that no reading is for nothing.
        read: usize,
    }

    impl Baseline {
        fn identity_and_server_name(&mut self) {
            for path in [["connection", "uri_san_peer_certificate"], ["connection", "requested_server_name"]]
            {
                let value = hostcalls::get_property(path.to_vec()).ok().flatten();
                self.read += value.map_or(0, |value| value.len());
            }
        }
    }

    impl Context for Baseline {}

    impl HttpContext for Baseline {
        fn on_http_request_headers(&mut self, _headers: usize, _end: bool) -> Action {
            if self.calls {
                let host = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, ":authority");
                self.read += host.ok().flatten().map_or(0, |host| host.len());
                self.identity_and_server_name();
            }
            Action::Continue
        }
    }

    impl StreamContext for Baseline {
        fn on_downstream_data(&mut self, size: usize, _end: bool) -> Action {
            if self.calls && self.read == 0 {
                let bytes = hostcalls::get_buffer(BufferType::DownstreamData, 0, size);
                self.read += bytes.ok().flatten().map_or(0, |bytes| bytes.len());
                self.identity_and_server_name();
            }
            Action::Continue
        }
    }
}
