//! Certificates of a cluster: one authority, and one certificate for each program that serves or asks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::supervise::write_private;

/// Whom a certificate names: the user, the group, and addresses where it serves.
struct Subject<'a> {
    file: &'a str,
    user: &'a str,
    group: Option<&'a str>,
    addresses: &'a [&'a str],
}

/// Makes everything anew in `dir`: `NAME.crt` and `NAME.key`, `ca.crt`, and the key pair of service accounts.
pub(super) fn make(dir: &Path, node: &str, node_ip: &str, service_ip: &str) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    let names = &mut authority.distinguished_name;
    names.push(DnType::CommonName, "zadig-operator end-to-end authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    fs::write(dir.join("ca.crt"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let kubelet = format!("system:node:{node}");
    let api_server = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        node_ip,
        service_ip,
    ];
    let served = [node, node_ip];
    let subject = |file, user, group| Subject {
        file,
        user,
        group,
        addresses: &[],
    };
    let subjects = [
        Subject {
            addresses: &api_server,
            ..subject("apiserver", "kube-apiserver", None)
        },
        Subject {
            addresses: &served,
            ..subject("kubelet-server", node, None)
        },
        subject("kubelet", &kubelet, Some("system:nodes")),
        subject(
            "apiserver-kubelet",
            "kube-apiserver",
            Some("system:masters"),
        ),
        subject("admin", "admin", Some("system:masters")),
        subject("controller-manager", "system:kube-controller-manager", None),
        subject("scheduler", "system:kube-scheduler", None),
        subject("proxy", "system:kube-proxy", None),
    ];
    for subject in subjects {
        issue(dir, &issuer, &subject)?;
    }
    let accounts = KeyPair::generate()?;
    write_private(
        &dir.join("accounts.key"),
        accounts.serialize_pem().as_bytes(),
    )?;
    fs::write(dir.join("accounts.pub"), accounts.public_key_pem())?;
    Ok(())
}

fn issue(dir: &Path, issuer: &Issuer<'_, KeyPair>, subject: &Subject<'_>) -> Result<()> {
    let addresses: Vec<String> = subject.addresses.iter().map(ToString::to_string).collect();
    let mut certificate = CertificateParams::new(addresses)?;
    let names = &mut certificate.distinguished_name;
    names.push(DnType::CommonName, subject.user);
    if let Some(group) = subject.group {
        names.push(DnType::OrganizationName, group);
    }
    certificate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    certificate.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    certificate.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let signed = certificate.signed_by(&key, issuer)?;
    let file = |end: &str| dir.join(format!("{}.{end}", subject.file));
    fs::write(file("crt"), signed.pem())?;
    write_private(&file("key"), key.serialize_pem().as_bytes())
}
