using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>Two sides that act at the same moment, round after round; both spin, so that "the same" is well below 1 us.</summary>
internal static class Race
{
    /// <summary>
    /// In every round prepares, then runs both sides at once, each delayed by a number of spins that differs from round
    /// to round, and then checks. Ends with the first failure.
    /// </summary>
    public static async Task RunAsync(int rounds, Action<int> prepare, Action<int> rival, Func<int, Task> side, Func<int, Task> check)
    {
        int ready = 0;
        int done = 0;
        bool ended = false;
        Task rivals = Task.Factory.StartNew(
            () =>
            {
                for (int round = 1; Reach(ref ready, round, ref ended); round++)
                {
                    Thread.SpinWait(round % 101);
                    rival(round);
                    Volatile.Write(ref done, round);
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        try
        {
            for (int round = 1; round <= rounds; round++)
            {
                prepare(round);
                Volatile.Write(ref ready, round);
                Thread.SpinWait(round % 37);
                await side(round);
                Assert.True(Reach(ref done, round, rivals), $"The rival failed in round {round}.");
                await check(round);
            }
        }
        finally
        {
            Volatile.Write(ref ended, true);
            await rivals.WithinAsync();
        }
    }

    private static bool Reach(ref int counter, int value, ref bool ended)
    {
        var spinner = new SpinWait();
        while (Volatile.Read(ref counter) < value)
        {
            if (Volatile.Read(ref ended))
            {
                return false;
            }

            spinner.SpinOnce(sleep1Threshold: -1);
        }

        return true;
    }

    private static bool Reach(ref int counter, int value, Task counting)
    {
        var spinner = new SpinWait();
        while (Volatile.Read(ref counter) < value)
        {
            if (counting.IsCompleted)
            {
                return false;
            }

            spinner.SpinOnce(sleep1Threshold: -1);
        }

        return true;
    }
}
