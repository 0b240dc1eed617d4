//! Reads lists of addresses to listen on.

use std::net::SocketAddr;

use super::{place::Placed, problems::Problems, quoted::Quoted, reader::ValueReader};

/// Reads a list of addresses with ports, at least one.
pub(super) fn listen(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<SocketAddr>> {
    let texts = item.texts("addresses with ports", problems)?;
    if texts.is_empty() {
        problems
            .error(item.place, format!("{} is empty: nothing would answer", item.description()))
            .help("write at least one: [\"127.0.0.1:5300\"]");
        return None;
    }
    let mut list: Vec<SocketAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let address = socket_address(text, item, problems)?;
        if address.port() != 0 && list.contains(&address) {
            problems
                .error(text.place, format!("{} is listed twice", Quoted(text.value)))
                .help("remove one");
        }
        list.push(address);
    }
    Some(list)
}

/// Reads one address with a port.
pub(super) fn socket_address(
    text: Placed<&str>,
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    let address = text.value.parse();
    if address.is_err() {
        problems
            .error(
                text.place,
                format!(
                    "{} has {}, which is not an address with a port",
                    item.description(),
                    Quoted(text.value)
                ),
            )
            .help("write it as \"127.0.0.1:5300\", \"0.0.0.0:53\" or \"[::]:53\"");
    }
    address.ok()
}
