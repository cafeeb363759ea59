using System.Net;
using System.Net.Sockets;

namespace Kwik.Sessions;

/// <summary>
/// Which addresses a primary may send its clients to: a primary must not be able to aim its clients at machines that it
/// could not reach itself.
/// </summary>
internal static class PathAddressPolicy
{
    private enum Reach
    {
        Loopback,
        LinkLocal,
        Private,
        Public,
    }

    /// <summary>
    /// Loopback targets only from a primary on loopback, link-local ones only from one on link-local or loopback, private
    /// ones only from one that is not public. Mapped IPv4 addresses count as what they map.
    /// </summary>
    public static bool IsAllowed(IPAddress primary, IPAddress target)
    {
        target = Unmap(target);
        return !IsUnusable(target) && ReachOf(target) >= ReachOf(Unmap(primary));
    }

    private static IPAddress Unmap(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private static bool IsUnusable(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        return !address.TryWriteBytes(bytes, out _)
            || address.IsIPv6Multicast
            || IPAddress.IPv6Any.Equals(address)
            || (address.AddressFamily == AddressFamily.InterNetwork && (bytes[0] == 0 || bytes[0] >= 224));
    }

    private static Reach ReachOf(IPAddress address)
    {
        if (IPAddress.IsLoopback(address))
        {
            return Reach.Loopback;
        }

        if (address.AddressFamily == AddressFamily.InterNetworkV6)
        {
            return address.IsIPv6LinkLocal ? Reach.LinkLocal
                : address.IsIPv6UniqueLocal || address.IsIPv6SiteLocal ? Reach.Private
                : Reach.Public;
        }

        byte[] bytes = address.GetAddressBytes();
        return bytes switch
        {
            [169, 254, ..] => Reach.LinkLocal,
            [10, ..] or [192, 168, ..] or [172, >= 16 and <= 31, ..] or [100, >= 64 and <= 127, ..] => Reach.Private,
            _ => Reach.Public,
        };
    }
}
