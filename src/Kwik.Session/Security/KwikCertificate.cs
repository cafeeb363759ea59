using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Sessions;

/// <summary>Self-signed certificates: for development servers that clients pin, and for clients, whose key is all that counts.</summary>
public static class KwikCertificate
{
    /// <summary>
    /// Makes a certificate with a new ECDSA P-256 key, valid from an hour ago for <paramref name="validity"/>.
    /// </summary>
    /// <param name="names">Host names and literal addresses; the first one is the subject too. At least one.</param>
    /// <param name="validity">From now; a day to ten years.</param>
    /// <param name="now">The present time.</param>
    public static X509Certificate2 CreateSelfSigned(IReadOnlyList<string> names, TimeSpan validity, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(names);
        ArgumentOutOfRangeException.ThrowIfZero(names.Count, nameof(names));
        ArgumentOutOfRangeException.ThrowIfLessThan(validity, TimeSpan.FromDays(1));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(validity, TimeSpan.FromDays(3653));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName(names[0]);
        var request = new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out IPAddress? address))
            {
                alternatives.AddIpAddress(address);
            }
            else
            {
                alternatives.AddDnsName(name);
            }
        }

        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        return request.CreateSelfSigned(now - TimeSpan.FromHours(1), now + validity);
    }
}
