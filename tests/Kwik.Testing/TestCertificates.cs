using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Kwik.Testing;

/// <summary>
/// Certificates for tests, made once a process. Keys are ECDSA P-256 and follow from the name, so that pins and key
/// hashes are the same in every run; none protects anything. Valid from 2020 to 2070, on virtual and on real time.
/// </summary>
public static class TestCertificates
{
    private static readonly DateTimeOffset NotBefore = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset NotAfter = new(2070, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly ConcurrentDictionary<string, X509Certificate2> Cache = new();

    /// <summary>A root that issued <see cref="Intermediate"/>.</summary>
    public static X509Certificate2 Root => Cache.GetOrAdd("/root", _ => MakeAuthority("Kwik test root", issuer: null));

    /// <summary>Issued by <see cref="Root"/>; issued every <see cref="Issued"/> certificate.</summary>
    public static X509Certificate2 Intermediate =>
        Cache.GetOrAdd("/intermediate", _ => MakeAuthority("Kwik test intermediate", Root));

    /// <summary>Another root, which issued nothing.</summary>
    public static X509Certificate2 OtherRoot => Cache.GetOrAdd("/other", _ => MakeAuthority("Kwik other root", issuer: null));

    /// <summary>A self-signed certificate for servers and clients with that DNS name; the same object every time.</summary>
    public static X509Certificate2 SelfSigned(string name) =>
        Cache.GetOrAdd($"self/{name}", _ => Make(name, NotBefore, NotAfter, issuer: null));

    /// <summary>A self-signed certificate with other dates, made anew.</summary>
    public static X509Certificate2 SelfSigned(string name, DateTimeOffset notBefore, DateTimeOffset notAfter) =>
        Make(name, notBefore, notAfter, issuer: null);

    /// <summary>A certificate for servers and clients with that DNS name, issued by <see cref="Intermediate"/>.</summary>
    public static X509Certificate2 Issued(string name) =>
        Cache.GetOrAdd($"issued/{name}", _ => Make(name, NotBefore, NotAfter, Intermediate));

    /// <summary>The same with other dates, made anew.</summary>
    public static X509Certificate2 Issued(string name, DateTimeOffset notBefore, DateTimeOffset notAfter) =>
        Make(name, notBefore, notAfter, Intermediate);

    /// <summary>The same, which says where the certificate of its issuer is found; made anew.</summary>
    public static X509Certificate2 Issued(string name, string issuerAddress) =>
        Make(name, NotBefore, NotAfter, Intermediate, new X509AuthorityInformationAccessExtension(null, [issuerAddress]));

    private static X509Certificate2 MakeAuthority(string name, X509Certificate2? issuer)
    {
        using ECDsa key = KeyOf(name);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        return Sign(request, key, NotBefore, NotAfter, issuer);
    }

    private static X509Certificate2 Make(
        string name, DateTimeOffset notBefore, DateTimeOffset notAfter, X509Certificate2? issuer, X509Extension? extension = null)
    {
        using ECDsa key = KeyOf(name);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], critical: false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        names.AddIpAddress(IPAddress.Loopback);
        names.AddIpAddress(IPAddress.IPv6Loopback);
        request.CertificateExtensions.Add(names.Build());
        if (extension is not null)
        {
            request.CertificateExtensions.Add(extension);
        }

        return Sign(request, key, notBefore, notAfter, issuer);
    }

    private static X509Certificate2 Sign(
        CertificateRequest request, ECDsa key, DateTimeOffset notBefore, DateTimeOffset notAfter, X509Certificate2? issuer)
    {
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        if (issuer is null)
        {
            return request.CreateSelfSigned(notBefore, notAfter);
        }

        byte[] serial = SHA256.HashData(Encoding.UTF8.GetBytes($"{request.SubjectName.Name} {notBefore:O}"))[..16];
        serial[0] &= 0x7f;
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(issuer, true, false));
        using X509Certificate2 certificate = request.Create(issuer, notBefore, notAfter, serial);
        return certificate.CopyWithPrivateKey(key);
    }

    /// <summary>The private key is a hash of the name; a hash that is no valid key has probability 2^-32.</summary>
    private static ECDsa KeyOf(string name) => ECDsa.Create(new ECParameters
    {
        Curve = ECCurve.NamedCurves.nistP256,
        D = SHA256.HashData(Encoding.UTF8.GetBytes($"kwik test key of {name}")),
    });
}
