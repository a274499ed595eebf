//! Token buckets: how many answers strangers may draw from us, each one and all together.

use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use sipyard_transaction::Micros;

/// Sources that hash to the same slot share a bucket; a fixed table cannot be filled up by invented addresses.
const SLOTS: usize = 4096;

/// One bucket. It holds up to one second's worth.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Tokens in millionths.
    level: u64,
    updated: Micros,
}

impl Bucket {
    fn take(&mut self, now: Micros, rate: u32) -> bool {
        const TOKEN: u64 = 1_000_000;
        let full = u64::from(rate).saturating_mul(TOKEN);
        let earned = now.saturating_sub(self.updated).saturating_mul(u64::from(rate));
        self.level = self.level.saturating_add(earned).min(full);
        self.updated = now;
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }
}

/// Limits per source and in total.
pub(crate) struct RateLimit {
    sources: Vec<Bucket>,
    total: Bucket,
    seed: u64,
    /// Answers a second to one source.
    pub(crate) per_source: u32,
    /// Answers a second altogether.
    pub(crate) overall: u32,
}

impl RateLimit {
    /// Full buckets.
    pub(crate) fn new(seed: u64, per_source: u32, overall: u32) -> RateLimit {
        // A bucket starts full: the time since its making, the clock's zero, is more than a second in practice, and in
        // tests where it is not the first `take` would find it empty.
        let full = |rate: u32| Bucket { level: u64::from(rate) * 1_000_000, updated: 0 };
        RateLimit { sources: vec![full(per_source); SLOTS], total: full(overall), seed, per_source, overall }
    }

    /// Whether `source` may have one more answer now.
    pub(crate) fn allows(&mut self, now: Micros, source: IpAddr) -> bool {
        let slot = (self.hash(source) % SLOTS as u64) as usize;
        let per_source = self.per_source;
        let allowed = self.sources.get_mut(slot).is_some_and(|bucket| bucket.take(now, per_source));
        allowed && self.total.take(now, self.overall)
    }

    /// An IPv6 site commands 2^64 addresses, so its /64 counts as one source.
    fn hash(&self, source: IpAddr) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        match source {
            IpAddr::V4(ip) => hasher.write_u32(ip.into()),
            IpAddr::V6(ip) => hasher.write_u64((u128::from(Ipv6Addr::from(ip.octets())) >> 64) as u64),
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn taken(limit: &mut RateLimit, now: Micros, source: &str, tries: usize) -> usize {
        let source = source.parse().unwrap();
        (0..tries).filter(|_| limit.allows(now, source)).count()
    }

    #[test]
    fn a_source_gets_its_rate_and_no_more() {
        let mut limit = RateLimit::new(7, 10, 1000);
        assert_eq!(taken(&mut limit, 0, "192.0.2.1", 100), 10);
        assert_eq!(taken(&mut limit, SECOND / 2, "192.0.2.1", 100), 5);
        assert_eq!(taken(&mut limit, 100 * SECOND, "192.0.2.1", 100), 10);
        assert_eq!(taken(&mut limit, 90 * SECOND, "192.0.2.1", 100), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_site_share() {
        let mut limit = RateLimit::new(7, 10, 1000);
        assert_eq!(taken(&mut limit, SECOND, "2001:db8::1", 8), 8);
        assert_eq!(taken(&mut limit, SECOND, "2001:db8::2", 8), 2);
    }

    #[test]
    fn all_sources_share_the_total() {
        let mut limit = RateLimit::new(7, 10, 25);
        let total: usize = (0..50).map(|n| taken(&mut limit, SECOND, &format!("198.51.100.{n}"), 5)).sum();
        assert_eq!(total, 25);
    }

    #[test]
    fn a_rate_of_zero_allows_nothing() {
        assert_eq!(taken(&mut RateLimit::new(7, 0, 10), 5 * SECOND, "192.0.2.1", 3), 0);
    }
}
