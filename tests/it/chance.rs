//! What tests leave to chance: a row that one number gives again, and how many are wanted.

/// Chance that can be repeated.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).unwrap()
    }
}

pub fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|cause| panic!("{variable}={text}: {cause}")))
}

/// Bytes that do not compress, and are others each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    evenkeel::host::store::random(&mut bytes);
    bytes
}
