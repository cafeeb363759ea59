using System.Net;
using System.Net.Sockets;
using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>Host names to addresses. Resolved once, so that what was checked is what is connected to.</summary>
internal static class AddressResolver
{
    public static async Task<IPEndPoint> ResolveAsync(string host, int port, CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(host, out IPAddress? literal))
        {
            return new IPEndPoint(literal, port);
        }

        try
        {
            IPAddress[] addresses = await Dns.GetHostAddressesAsync(host, cancellationToken);
            return new IPEndPoint(addresses[0], port);
        }
        catch (Exception e) when (e is SocketException or IndexOutOfRangeException or ArgumentException)
        {
            throw new KwikException(KwikError.PathLost, KwikErrorSide.Network, $"The host name '{host}' has no address.", e);
        }
    }
}
