using Kwik.Data;
using Kwik.Session.Tests.Rows;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>The table of calls over real QUIC.</summary>
public sealed class XStreamTableTests : XStreamRows
{
    protected override int Capacity => 4 * 1024 * 1024;

    private protected override async Task RunAsync(Func<StreamEnd, StreamEnd, Task> row)
    {
        await RunAsync(row, openedByClient: true).WithinAsync(TestTimeouts.Scenario);
        await RunAsync(row, openedByClient: false).WithinAsync(TestTimeouts.Scenario);
    }

    private static async Task RunAsync(Func<StreamEnd, StreamEnd, Task> row, bool openedByClient)
    {
        await using ConnectedEnds ends = await ConnectedEnds.ConnectAsync(maxStreams: MaxStreams);
        (KwikStream outbound, KwikStream inbound) = await ends.OpenAsync(openedByClient);

        // A connection that ends without a word of the session is as near to a lost process as one process comes.
        var client = StreamEnd.Of(
            ends.Client, openedByClient ? outbound : inbound, () => _ = ends.Connection.CloseAsync(KwikError.None).AsTask());
        var primary = StreamEnd.Of(ends.Primary, openedByClient ? inbound : outbound, ends.Primary.Stop);
        await (openedByClient ? row(client, primary) : row(primary, client));
    }
}
