using System.Diagnostics;
using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Real;

/// <summary>
/// When one side closes, writes at the other one fail, also where nobody reads: over real QUIC, through a relay that delays.
/// How fast is printed, and not judged: StrictPropagationTests of the simulation do that.
/// </summary>
public sealed class StrictPropagationTests
{
    [Theory]
    [InlineData(0, true)]
    [InlineData(0, false)]
    [InlineData(20, true)]
    [InlineData(20, false)]
    [InlineData(200, true)]
    [InlineData(200, false)]
    public async Task PeersClose_WithAnIdleReader_FailsWrites(int roundTrip, bool closedByOpener)
    {
        await using ConnectedEnds ends = await ConnectedEnds.ConnectAsync(TimeSpan.FromMilliseconds(roundTrip / 2.0));
        foreach (bool openedByClient in new[] { true, false })
        {
            (KwikStream outbound, KwikStream inbound) = await ends.OpenAsync(openedByClient);
            await using KwikStream opener = outbound;
            await using KwikStream acceptor = inbound;
            (KwikStream near, KwikStream far) = closedByOpener ? (inbound, outbound) : (outbound, inbound);
            await near.WriteAsync(new byte[1000]).WithinAsync();

            long began = Stopwatch.GetTimestamp();
            Task closing = far.CloseAsync();
            await FailureAsync<KwikException>(near.WritesClosed.WithinAsync());
            await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
            TimeSpan took = Stopwatch.GetElapsedTime(began);
            await closing.WithinAsync();

            // A word travels at least this long: the relay is in its way.
            Assert.True(took >= TimeSpan.FromMilliseconds(roundTrip / 2.0), $"{took}");
            TestContext.Current.TestOutputHelper?.WriteLine(
                $"round trip {roundTrip} ms, {(openedByClient ? "client" : "primary")} opened, {(closedByOpener ? "opener" : "acceptor")} closed: write, flush and CompleteWrites failed after {took.TotalMilliseconds:F1} ms");
        }
    }
}
