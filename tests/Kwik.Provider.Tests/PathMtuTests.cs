using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Paths that carry only short datagrams and do not say so.</summary>
public sealed class PathMtuTests
{
    private static readonly LinkOptions Broadband = new() { Delay = TimeSpan.FromMilliseconds(5), BitsPerSecond = 50_000_000 };

    [Theory]
    [InlineData(1_252)]
    [InlineData(1_400)]
    public async Task Bulk_OverAPathWithASmallMtu_ArrivesWholeBothWays(int bytes)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(link: Broadband with { MaxDatagramBytes = bytes });

        await pair.ExchangeAsync(5_000_000);

        // Longer ones were tried, and the link took none.
        Assert.True(pair.Relay.ToServerCounters.DroppedByLength > 0 && pair.Relay.ToClientCounters.DroppedByLength > 0);
    }

    /// <summary>
    /// The route changes to one that drops what the old one carried: the provider must notice it by the losses
    /// (RFC 8899, section 4.3).
    /// </summary>
    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Bulk_MtuShrinksInTheMiddle_ArrivesWholeBothWays(bool toServer, bool toClient)
    {
        LinkOptions narrow = Broadband with { MaxDatagramBytes = 1_252 };
        await using RelayedPair pair = await RelayedPair.StartAsync(link: Broadband);

        await pair.ExchangeDuringAsync(async () =>
        {
            // Time to find out how long datagrams may be, and to fill the path with them.
            await Task.Delay(TimeSpan.FromSeconds(2));
            (pair.Relay.ToServer, pair.Relay.ToClient) = (toServer ? narrow : Broadband, toClient ? narrow : Broadband);
            await Task.Delay(TimeSpan.FromSeconds(2));
        });

        await pair.ExchangeAsync(1_000_000);

        // They were longer before.
        Assert.Equal(toServer, pair.Relay.ToServerCounters.DroppedByLength > 0);
        Assert.Equal(toClient, pair.Relay.ToClientCounters.DroppedByLength > 0);
    }
}
