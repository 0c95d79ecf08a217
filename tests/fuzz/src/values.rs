//! The small notations: durations, sizes, CPUs, ports, commands, images.

use evenkeel::recipe::values::{bytes as size, duration, image_reference, nano_cpus, ports, shell_words};

/// A sign turns a duration round, words can be quoted and read again, and the form of an image is its own.
pub fn values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(nanoseconds) = duration(text)
        && !text.starts_with(['-', '+'])
    {
        assert_eq!(duration(&format!("-{text}")), Ok(-nanoseconds));
        assert_eq!(duration(&format!("+{text}")), Ok(nanoseconds));
    }
    if let Ok(size) = size(text) {
        assert!(size >= 0, "{size}");
    }
    let _ = nano_cpus(text); // any number is one
    if let Ok(ports) = ports(text) {
        assert!(!ports.is_empty() && ports.len() <= 65_536);
        assert!(ports.iter().all(|port| matches!(port.protocol, "tcp" | "udp" | "sctp")));
    }
    if let Ok(words) = shell_words(text) {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        assert_eq!(shell_words(&quoted.join(" ")), Ok(words));
    }
    if let Ok(image) = image_reference(text) {
        assert_eq!(image_reference(&image).as_deref(), Ok(image.as_str()));
    }
}
