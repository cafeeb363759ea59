using System.Net;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Paths;

public sealed class PathAddressPolicyTests
{
    [Theory]
    [InlineData("127.0.0.1", "127.0.0.2", true)]
    [InlineData("127.0.0.1", "10.0.0.1", true)]
    [InlineData("127.0.0.1", "203.0.113.1", true)]
    [InlineData("::1", "::ffff:127.0.0.1", true)]
    [InlineData("192.168.1.1", "127.0.0.1", false)]
    [InlineData("192.168.1.1", "::1", false)]
    [InlineData("192.168.1.1", "::ffff:127.0.0.1", false)]
    [InlineData("192.168.1.1", "169.254.0.1", false)]
    [InlineData("192.168.1.1", "fe80::1", false)]
    [InlineData("192.168.1.1", "172.16.0.1", true)]
    [InlineData("192.168.1.1", "203.0.113.1", true)]
    [InlineData("203.0.113.1", "10.0.0.1", false)]
    [InlineData("203.0.113.1", "172.31.255.255", false)]
    [InlineData("203.0.113.1", "172.32.0.1", true)]
    [InlineData("203.0.113.1", "100.64.0.1", false)]
    [InlineData("203.0.113.1", "::ffff:10.0.0.1", false)]
    [InlineData("203.0.113.1", "fd00::1", false)]
    [InlineData("203.0.113.1", "198.51.100.1", true)]
    [InlineData("2001:db8::1", "2001:db8::2", true)]
    [InlineData("127.0.0.1", "0.0.0.0", false)]
    [InlineData("127.0.0.1", "::", false)]
    [InlineData("127.0.0.1", "224.0.0.1", false)]
    [InlineData("127.0.0.1", "255.255.255.255", false)]
    [InlineData("127.0.0.1", "ff02::1", false)]
    public void IsAllowed_Target_MustBeNoCloserThanThePrimary(string primary, string target, bool allowed) =>
        Assert.Equal(allowed, PathAddressPolicy.IsAllowed(IPAddress.Parse(primary), IPAddress.Parse(target)));
}
