using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Paths;

/// <summary>The places that a server has for requests. No connection is needed for these.</summary>
public sealed class KwikPathTests
{
    [Fact]
    public async Task TryTakeRequest_FromManyThreads_NeverGivesMorePlacesThanThereAre()
    {
        const int limit = 5;
        KwikPath path = Path(limit);
        int taken = 0;
        int most = 0;
        int tooMany = 0;

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 50_000; i++)
            {
                if (path.TryTakeRequest())
                {
                    int now = Interlocked.Increment(ref taken);
                    most = Math.Max(most, now);
                    if (now > limit)
                    {
                        Interlocked.Increment(ref tooMany);
                    }

                    Interlocked.Decrement(ref taken);
                    path.CountRequests(-1);
                }
            }
        }))).WithinAsync();

        Assert.Equal(0, tooMany);
        Assert.InRange(most, 1, limit);
        Assert.Equal(limit, Enumerable.Range(0, 100).Count(_ => path.TryTakeRequest()));
    }

    [Fact]
    public void LoweredLimit_IsWhatWasOutstandingBesideTheRefusedRequest()
    {
        KwikPath path = Path(10);
        Assert.False(path.TryLowerLimit());
        Assert.Equal(4, Enumerable.Range(0, 4).Count(_ => path.TryTakeRequest()));

        Assert.True(path.TryLowerLimit());
        Assert.False(path.TakesRequests);
        path.CountRequests(-1);
        Assert.False(path.TryTakeRequest());
        int room = 0;
        path.HasRoomAgain = () => room++;
        path.CountRequests(-1);

        Assert.Equal(1, room);
        Assert.True(path.TryTakeRequest());
        Assert.False(path.TryTakeRequest());
    }

    [Fact]
    public void RetiredPath_TakesNothing()
    {
        KwikPath path = Path(10);
        path.Retire();
        Assert.False(path.TakesRequests);
        Assert.False(path.TryTakeRequest());
    }

    private static KwikPath Path(int limit) => new(1, ServerRole.Secondary, null!, null!, limit, TimeSpan.Zero, TimeProvider.System);
}
