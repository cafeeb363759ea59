using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Provider.Tests;

/// <summary>The keys that servers have in practice.</summary>
public enum KeyKind
{
    Rsa2048,
    Rsa3072,
    Rsa4096,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
}

/// <summary>
/// A root and a row of authorities below it, each signed by the one before; leaves are signed by the last. Made at run time.
/// </summary>
internal sealed class CertificateAuthority
{
    private static readonly DateTimeOffset NotBefore = DateTimeOffset.UtcNow.AddDays(-2);
    private static readonly DateTimeOffset NotAfter = DateTimeOffset.UtcNow.AddDays(2);

    private readonly X509Certificate2[] _authorities;

    /// <param name="kind">The keys of the root and of the intermediates.</param>
    /// <param name="intermediates">How many authorities stand between the root and the leaves.</param>
    /// <param name="expired">Whether the last of them has expired.</param>
    public CertificateAuthority(KeyKind kind, int intermediates, bool expired = false)
    {
        _authorities = new X509Certificate2[intermediates + 1];
        for (int i = 0; i <= intermediates; i++)
        {
            DateTimeOffset end = expired && i == intermediates ? DateTimeOffset.UtcNow.AddDays(-1) : NotAfter;
            _authorities[i] = Make($"CN=Kwik authority {i} {kind}", kind, i == 0 ? null : _authorities[i - 1], end, AddAuthority);
        }
    }

    public X509Certificate2 Root => _authorities[0];

    /// <summary>What a peer must be sent beside the leaf, from the leaf's issuer up.</summary>
    public X509Certificate2Collection Intermediates => [.. _authorities.Skip(1).Reverse()];

    /// <summary>A chain policy that trusts this root and nothing else.</summary>
    public X509ChainPolicy Trust()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(Root);
        return policy;
    }

    /// <summary>A leaf for servers and clients, for these names or for localhost and the loopback addresses.</summary>
    public X509Certificate2 MakeLeaf(KeyKind kind, params string[] names)
    {
        using X509Certificate2 certificate = Make(
            $"CN={(names.Length > 0 ? names[0] : "localhost")}", kind, _authorities[^1], NotAfter, request => AddLeaf(request, names));
        return X509CertificateLoader.LoadPkcs12(
            certificate.Export(X509ContentType.Pkcs12), null, X509KeyStorageFlags.Exportable);
    }

    private static X509Certificate2 Make(
        string subject,
        KeyKind kind,
        X509Certificate2? issuer,
        DateTimeOffset notAfter,
        Action<CertificateRequest> addExtensions)
    {
        using RSA? rsa = kind switch
        {
            KeyKind.Rsa2048 => RSA.Create(2048),
            KeyKind.Rsa3072 => RSA.Create(3072),
            KeyKind.Rsa4096 => RSA.Create(4096),
            _ => null,
        };
        using ECDsa? ecdsa = kind switch
        {
            KeyKind.EcdsaP256 => ECDsa.Create(ECCurve.NamedCurves.nistP256),
            KeyKind.EcdsaP384 => ECDsa.Create(ECCurve.NamedCurves.nistP384),
            KeyKind.EcdsaP521 => ECDsa.Create(ECCurve.NamedCurves.nistP521),
            _ => null,
        };
        CertificateRequest request = rsa is not null
            ? new(subject, rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new(subject, ecdsa!, HashAlgorithmName.SHA256);
        addExtensions(request);
        if (issuer is null)
        {
            return request.CreateSelfSigned(NotBefore, notAfter);
        }

        using RSA? issuerRsa = issuer.GetRSAPrivateKey();
        using ECDsa? issuerEcdsa = issuer.GetECDsaPrivateKey();
        X509SignatureGenerator generator = issuerRsa is not null
            ? X509SignatureGenerator.CreateForRSA(issuerRsa, RSASignaturePadding.Pkcs1)
            : X509SignatureGenerator.CreateForECDsa(issuerEcdsa!);
        using X509Certificate2 signed =
            request.Create(issuer.SubjectName, generator, NotBefore, notAfter, RandomNumberGenerator.GetBytes(8));
        return rsa is not null ? signed.CopyWithPrivateKey(rsa) : signed.CopyWithPrivateKey(ecdsa!);
    }

    private static void AddAuthority(CertificateRequest request)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
    }

    private static void AddLeaf(CertificateRequest request, string[] names)
    {
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names.Length > 0 ? names : ["localhost"])
        {
            alternatives.AddDnsName(name);
        }

        if (names.Length == 0)
        {
            alternatives.AddIpAddress(IPAddress.Loopback);
            alternatives.AddIpAddress(IPAddress.IPv6Loopback);
        }

        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(
            new X509EnhancedKeyUsageExtension([new("1.3.6.1.5.5.7.3.1"), new("1.3.6.1.5.5.7.3.2")], false));
    }
}
