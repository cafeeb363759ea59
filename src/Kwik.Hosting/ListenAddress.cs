using System.Diagnostics.CodeAnalysis;
using System.Net;

namespace Kwik.Hosting;

/// <summary>The text form of an address to listen on.</summary>
internal static class ListenAddress
{
    /// <exception cref="FormatException">The text has another form.</exception>
    public static IPEndPoint Parse(string text) => TryParse(text, out IPEndPoint? endPoint)
        ? endPoint
        : throw new FormatException(
            $"'{text}' is no address to listen on; write ADDRESS:PORT, for instance 127.0.0.1:4433, [::]:4433 or *:4433.");

    private static bool TryParse(string? text, [NotNullWhen(true)] out IPEndPoint? endPoint)
    {
        endPoint = null;
        int colon = text?.LastIndexOf(':') ?? -1;
        if (colon < 1 || !ushort.TryParse(text.AsSpan(colon + 1), out ushort port))
        {
            return false;
        }

        string host = text![..colon];
        endPoint = host switch
        {
            "localhost" => new(IPAddress.Loopback, port),
            "*" => new(IPAddress.IPv6Any, port),
            // Without brackets the last group of an IPv6 address would pass for a port.
            _ when IPAddress.TryParse(host, out IPAddress? address) && host.Contains(':') == host.StartsWith('[') => new(address, port),
            _ => null,
        };
        return endPoint is not null;
    }
}
