using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Provider.Tests;

/// <summary>A root, an intermediate below it, and leaves below either, all made at run time.</summary>
internal static class Certificates
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private static readonly DateTimeOffset NotBefore = DateTimeOffset.UtcNow.AddDays(-2);
    private static readonly DateTimeOffset NotAfter = DateTimeOffset.UtcNow.AddDays(2);

    public static X509Certificate2 Root { get; } = MakeAuthority("CN=Kwik test root", issuer: null);

    public static X509Certificate2 Intermediate { get; } = MakeAuthority("CN=Kwik test intermediate", Root);

    /// <summary>What servers present where the certificate is not the subject: names localhost and the loopback addresses.</summary>
    public static X509Certificate2 Server { get; } = MakeLeaf("CN=localhost", Root);

    /// <summary>As <see cref="Server"/>, below <see cref="Intermediate"/>.</summary>
    public static X509Certificate2 ServerBelowIntermediate { get; } = MakeLeaf("CN=localhost", Intermediate);

    public static X509Certificate2 Client { get; } = MakeLeaf("CN=client", Root);

    public static X509Certificate2 ClientBelowIntermediate { get; } = MakeLeaf("CN=client", Intermediate);

    /// <summary>A chain policy that trusts <see cref="Root"/> and nothing else.</summary>
    public static X509ChainPolicy TrustRoot()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(Root);
        return policy;
    }

    public static X509Certificate2 MakeSelfSigned(string subject) => MakeLeaf(subject, issuer: null);

    public static X509Certificate2 MakeExpired() =>
        MakeLeaf("CN=localhost", Root, DateTimeOffset.UtcNow.AddDays(-1.5), DateTimeOffset.UtcNow.AddDays(-1));

    /// <summary>A leaf with an RSA key of 4096 bits, which makes the server's first flight long.</summary>
    public static X509Certificate2 MakeRsa()
    {
        using RSA key = RSA.Create(4096);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate = Sign(request, Root, NotBefore, NotAfter);
        return Reload(certificate.CopyWithPrivateKey(key));
    }

    private static X509Certificate2 MakeLeaf(
        string subject,
        X509Certificate2? issuer,
        DateTimeOffset? notBefore = null,
        DateTimeOffset? notAfter = null)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        if (issuer is null)
        {
            AddLeafExtensions(request);
            using X509Certificate2 own = request.CreateSelfSigned(notBefore ?? NotBefore, notAfter ?? NotAfter);
            return Reload(own);
        }

        using X509Certificate2 certificate = Sign(request, issuer, notBefore ?? NotBefore, notAfter ?? NotAfter);
        using X509Certificate2 withKey = certificate.CopyWithPrivateKey(key);
        return Reload(withKey);
    }

    private static X509Certificate2 Sign(
        CertificateRequest request,
        X509Certificate2 issuer,
        DateTimeOffset notBefore,
        DateTimeOffset notAfter)
    {
        AddLeafExtensions(request);
        X509SignatureGenerator generator = X509SignatureGenerator.CreateForECDsa(issuer.GetECDsaPrivateKey()!);
        return request.Create(issuer.SubjectName, generator, notBefore, notAfter, RandomNumberGenerator.GetBytes(8));
    }

    private static void AddLeafExtensions(CertificateRequest request)
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        names.AddIpAddress(System.Net.IPAddress.IPv6Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new(ServerAuthentication), new(ClientAuthentication)], false));
    }

    private static X509Certificate2 MakeAuthority(string subject, X509Certificate2? issuer)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        if (issuer is null)
        {
            return request.CreateSelfSigned(NotBefore, NotAfter);
        }

        using X509Certificate2 certificate = request.Create(issuer, NotBefore, NotAfter, RandomNumberGenerator.GetBytes(8));
        return certificate.CopyWithPrivateKey(key);
    }

    // A certificate as a program has it that loaded a file, key included.
    private static X509Certificate2 Reload(X509Certificate2 certificate) =>
        X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null, X509KeyStorageFlags.Exportable);
}
