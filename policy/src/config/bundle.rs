//! `{bundle: TEXT}`: a configuration packed small, for those that Kubernetes would not take as they are.

use super::error::{ConfigError, Problem};
use super::json::{Json, Object};
use crate::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The one key of a packed configuration.
const KEY: &str = "bundle";
/// What a bundle may inflate to: a bomb of a few kilobytes must not fill the gateway's memory.
const MAX_INFLATED: usize = 64 << 20;
/// How many values a configuration may have, whatever text it comes from: `[[],[],…` makes of three bytes ten times as many. A
/// hundred thousand policies need two million.
pub const MAX_VALUES: usize = 4_000_000;
/// What a bundle inflates to at first; the buffer grows as needed.
const FIRST_BUFFER: usize = 64 << 10;

/// The configuration inside a bundle; `None` where the tree is no bundle.
///
/// # Errors
/// A bundle beside other keys or in another bundle, and text that does not unpack to JSON.
pub fn unpack(json: &Json) -> Result<Option<Json>, Vec<ConfigError>> {
    Ok(unpack_with_text(json)?.map(|(json, _)| json))
}

/// As [`unpack`], with the bytes that the bundle inflates to.
pub(super) fn unpack_with_text(json: &Json) -> Result<Option<(Json, Vec<u8>)>, Vec<ConfigError>> {
    let Json::Object(object) = json else {
        return Ok(None);
    };
    let Some(packed) = object.get(KEY) else {
        return Ok(None);
    };
    open(object, packed).map(Some).map_err(|problem| {
        let path = KEY.to_owned();
        vec![ConfigError { path, problem }]
    })
}

fn open(object: &Object, packed: &Json) -> Result<(Json, Vec<u8>), Problem> {
    if object.0.len() > 1 {
        let what = "a bundle stands alone: the whole configuration is inside";
        return Err(Problem::Rule(Fault::with_repair(what, "put the other keys into it, or leave it out")));
    }
    let Json::Text(text) = packed else {
        return Err(match packed {
            Json::Null => Problem::Null,
            other => Problem::WrongType { expected: "a string", found: other.kind(), repair: None },
        });
    };
    let bytes = inflate(text).map_err(Problem::Rule)?;
    if values_in(&bytes) > MAX_VALUES {
        let what = format!("what the bundle holds has more than {MAX_VALUES} values");
        return Err(Problem::Rule(Fault::new(what)));
    }
    let inner: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::Rule(Fault::new(format!("what the bundle holds is not JSON: {error}"))))?;
    match &inner {
        Json::Object(object) if object.get(KEY).is_some() => {
            Err(Problem::Rule(Fault::with_repair("a bundle in a bundle", "pack the configuration itself")))
        }
        Json::Object(_) => Ok((inner, bytes)),
        other => Err(Problem::Rule(Fault::new(format!(
            "what the bundle holds is {}, not a configuration",
            other.kind()
        )))),
    }
}

/// How many values a JSON text has, at most: counted by what begins or separates them.
#[must_use]
pub fn values_in(json: &[u8]) -> usize {
    let mut values = 1;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' | b'[' | b'{' if !is_quoted => values += 1,
            _ => {}
        }
    }
    values
}

/// From text to the bytes that were packed.
fn inflate(text: &str) -> Result<Vec<u8>, Fault> {
    let hint = "make it with `egressctl pack`";
    let packed = STANDARD
        .decode(text)
        .map_err(|_| Fault::with_repair("a bundle is padded standard base64, without spaces", hint))?;
    let flags =
        inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let mut inflated = vec![0; FIRST_BUFFER];
    let (mut read, mut written) = (0, 0);
    loop {
        let rest = packed.get(read..).unwrap_or_default();
        let (status, took, gave) = decompress(&mut state, rest, &mut inflated, written, flags);
        read += took;
        written += gave;
        match status {
            TINFLStatus::Done if read < packed.len() => {
                let behind = packed.len() - read;
                return Err(Fault::new(format!("{behind} bytes stand behind the end of the bundle")));
            }
            TINFLStatus::Done => {
                inflated.truncate(written);
                return Ok(inflated);
            }
            TINFLStatus::HasMoreOutput if inflated.len() < MAX_INFLATED => {
                let grown = (inflated.len() * 4).min(MAX_INFLATED);
                inflated.resize(grown, 0);
            }
            TINFLStatus::HasMoreOutput => {
                let limit = MAX_INFLATED >> 20;
                return Err(Fault::new(format!("the bundle inflates to more than {limit} MiB")));
            }
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                return Err(Fault::with_repair("the bundle ends before its end", hint));
            }
            _ => return Err(Fault::with_repair("the bundle is not zlib-compressed data", hint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use miniz_oxide::deflate::compress_to_vec_zlib;

    fn pack(bytes: &[u8]) -> String {
        STANDARD.encode(compress_to_vec_zlib(bytes, 1))
    }

    fn refusal(bundle: &str) -> String {
        let json = format!("{{\"bundle\": {bundle:?}}}");
        let errors = Config::parse(json.as_bytes()).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].to_string()
    }

    #[test]
    fn a_bundle_reads_as_what_is_inside() {
        let plain = br#"{"policies": [{"name": "a", "rules": [{}]}]}"#;
        let packed = format!("{{\"bundle\": {:?}}}", pack(plain));
        assert_eq!(Config::parse(packed.as_bytes()), Config::parse(plain));
        let errors = Config::parse(format!("{{\"bundle\": {:?}}}", pack(b"{\"polices\": []}")).as_bytes());
        assert_eq!(errors.unwrap_err()[0].to_string(), "polices: unknown key; write `policies`");
    }

    #[test]
    fn what_is_larger_than_the_first_buffer_is_whole() {
        let hosts: Vec<_> = (0..20_000).map(|n| format!("\"h{n}.example\"")).collect();
        let plain = format!("{{\"hostSets\": {{\"many\": [{}]}}}}", hosts.join(","));
        assert!(plain.len() > FIRST_BUFFER * 4);
        let packed = format!("{{\"bundle\": {:?}}}", pack(plain.as_bytes()));
        assert_eq!(Config::parse(packed.as_bytes()), Config::parse(plain.as_bytes()));
    }

    #[test]
    fn what_is_no_bundle_is_refused_in_words() {
        assert_eq!(
            refusal("a b"),
            "bundle: a bundle is padded standard base64, without spaces; make it with `egressctl pack`"
        );
        assert_eq!(
            refusal(&STANDARD.encode("hello")),
            "bundle: the bundle is not zlib-compressed data; make it with `egressctl pack`"
        );
        let whole = compress_to_vec_zlib(b"{}", 9);
        let cut = STANDARD.encode(&whole[..whole.len() - 1]);
        assert_eq!(refusal(&cut), "bundle: the bundle ends before its end; make it with `egressctl pack`");
        let longer = STANDARD.encode([whole.as_slice(), b"xyz"].concat());
        assert_eq!(refusal(&longer), "bundle: 3 bytes stand behind the end of the bundle");
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(refusal(&STANDARD.encode(&damaged)).contains("not zlib"));
        assert!(refusal(&pack(b"{")).starts_with("bundle: what the bundle holds is not JSON: "));
        assert_eq!(refusal(&pack(b"[]")), "bundle: what the bundle holds is a list, not a configuration");
        let nested = format!("{{\"bundle\": {:?}}}", pack(b"{}"));
        assert_eq!(
            refusal(&pack(nested.as_bytes())),
            "bundle: a bundle in a bundle; pack the configuration itself"
        );
        let beside = format!("{{\"bundle\": {:?}, \"type\": \"HTTP\"}}", pack(b"{}"));
        let errors = Config::parse(beside.as_bytes()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "bundle: a bundle stands alone: the whole configuration is inside; put the other keys into it, or leave it out"
        );
        let errors = Config::parse(b"{\"bundle\": 5}").unwrap_err();
        assert_eq!(errors[0].to_string(), "bundle: a string is wanted here, not a number");
    }

    #[test]
    fn values_are_counted_and_bounded() {
        for (json, values) in [
            ("1", 1),
            (r#"{"a:,[": [1, "b\\",2]}"#, 5),
            (r#""\",""#, 1),
            ("[[],[]]", 5),
            ("{\"a\": {\"b\": 1, \"c\": 2}}", 4),
        ] {
            assert_eq!(values_in(json.as_bytes()), values, "{json}");
        }
        let many = format!("{{\"a\": [{}0]}}", "0,".repeat(MAX_VALUES));
        let bundle = pack(many.as_bytes());
        assert!(bundle.len() < 64 << 10);
        assert_eq!(refusal(&bundle), "bundle: what the bundle holds has more than 4000000 values");
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = pack(&vec![b' '; MAX_INFLATED + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(refusal(&bomb), "bundle: the bundle inflates to more than 64 MiB");
        let mut fits = vec![b' '; MAX_INFLATED - 2];
        fits.extend_from_slice(b"{}");
        assert!(Config::parse(format!("{{\"bundle\": {:?}}}", pack(&fits)).as_bytes()).is_ok());
    }
}
