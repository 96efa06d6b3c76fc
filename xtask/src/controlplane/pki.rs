//! Keys and certificates of one control plane: one authority, one serving certificate, one key for service accounts.
//!
//! Clients verify the server by the authority in their kubeconfig; nothing connects without verification.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::supervise::write_private;

/// Files of the PKI, in PEM.
#[derive(Debug)]
pub(super) struct Pki {
    pub(super) authority: PathBuf,
    pub(super) serving_certificate: PathBuf,
    pub(super) serving_key: PathBuf,
    /// ECDSA on P-256, which Kubernetes signs with as ES256.
    pub(super) service_account_key: PathBuf,
    /// Its public half: Kubernetes does not take that from a key in PKCS #8.
    pub(super) service_account_public_key: PathBuf,
}

/// Makes everything anew in `dir`.
pub(super) fn make(dir: &Path) -> Result<Pki> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let pki = Pki {
        authority: dir.join("ca.crt"),
        serving_certificate: dir.join("apiserver.crt"),
        serving_key: dir.join("apiserver.key"),
        service_account_key: dir.join("service-account.key"),
        service_account_public_key: dir.join("service-account.pub"),
    };

    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "zadig-operator test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let serving_key = KeyPair::generate()?;
    let names = [
        "127.0.0.1",
        "localhost",
        "kubernetes.default.svc",
        "10.0.0.1",
    ];
    let mut serving = CertificateParams::new(names.map(ToOwned::to_owned))?;
    serving
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    serving.use_authority_key_identifier_extension = true;
    let serving_certificate = serving.signed_by(&serving_key, &issuer)?;

    fs::write(&pki.authority, authority_certificate.pem())?;
    fs::write(&pki.serving_certificate, serving_certificate.pem())?;
    write_private(&pki.serving_key, serving_key.serialize_pem().as_bytes())?;
    let service_accounts = KeyPair::generate()?;
    write_private(
        &pki.service_account_key,
        service_accounts.serialize_pem().as_bytes(),
    )?;
    fs::write(
        &pki.service_account_public_key,
        service_accounts.public_key_pem(),
    )?;
    Ok(pki)
}

/// A token that nobody guesses.
pub(super) fn token() -> Result<String> {
    let mut bytes = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the system has no randomness"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
