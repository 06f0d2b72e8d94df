//! Azure's clouds: worlds of their own, each with its domains.

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cloud {
    /// The domain that its key vaults are in; tokens are for that domain.
    pub(super) vaults: &'static str,
    /// Who gives tokens.
    pub(super) authority: &'static str,
}

const CLOUDS: &[Cloud] = &[
    Cloud { vaults: "vault.azure.net", authority: "https://login.microsoftonline.com" },
    Cloud { vaults: "vault.usgovcloudapi.net", authority: "https://login.microsoftonline.us" },
    Cloud { vaults: "vault.azure.cn", authority: "https://login.chinacloudapi.cn" },
];

impl Default for Cloud {
    fn default() -> Self {
        CLOUDS[0]
    }
}

impl Cloud {
    /// The cloud that the key vault at `host` is in.
    pub(super) fn of(host: &str) -> Option<Self> {
        let is_in = |cloud: &&Cloud| {
            let name = host.strip_suffix(cloud.vaults).and_then(|rest| rest.strip_suffix('.'));
            name.is_some_and(|name| !name.is_empty() && !name.starts_with('.'))
        };
        CLOUDS.iter().find(is_in).copied()
    }

    /// The domains of all, for a message.
    pub(super) fn domains() -> String {
        CLOUDS.iter().map(|cloud| cloud.vaults).collect::<Vec<_>>().join(", or in ")
    }
}
