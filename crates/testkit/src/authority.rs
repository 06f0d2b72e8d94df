//! Who vouches for whom in tests: authorities, and certificates that they sign.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// One that may vouch for others.
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain and its key, PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and those between it and the root.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// One that nobody vouches for.
    pub fn root(name: &str) -> Self {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).expect("a certificate for a test can be made").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// An authority that this one vouches for.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = authority(name);
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate for a test can be made").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `name`, to be shown by either end; `above` are those between it and the root.
    pub fn identity(&self, name: &str, above: &[&Self]) -> Identity {
        self.sign(
            CertificateParams::new(vec![name.to_owned()]).expect("a certificate for a test can be made"),
            above,
        )
    }

    /// A certificate for `name` that was valid in the year 2000.
    pub fn expired(&self, name: &str) -> Identity {
        let mut params =
            CertificateParams::new(vec![name.to_owned()]).expect("a certificate for a test can be made");
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        self.sign(params, &[])
    }

    fn sign(&self, mut params: CertificateParams, above: &[&Self]) -> Identity {
        let key = KeyPair::generate().expect("a certificate for a test can be made");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let mut chain =
            params.signed_by(&key, &self.issuer).expect("a certificate for a test can be made").pem();
        for authority in above {
            chain.push_str(&authority.pem);
        }
        Identity { chain, key: key.serialize_pem() }
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    (params, KeyPair::generate().expect("a certificate for a test can be made"))
}
