using System.Runtime.InteropServices;

namespace Kwik.Cli;

/// <summary>
/// Ctrl-C, SIGTERM and the end of the terminal. The first one asks the command to end in order; a second Ctrl-C or SIGTERM does to the
/// process what the signal does by itself, at once. A command that does not end in time is left behind. There is one process, and so one
/// of these: until the end, so that nothing comes between the last of the command and that.
/// </summary>
internal static class Interruption
{
    // Ending the servers of the demo takes up to 5 s, closing a session 20 s with a server that does not answer at all, which is too long.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    // Who does not see it end by then wants to know.
    private static readonly TimeSpan Notice = TimeSpan.FromSeconds(1);

    private static readonly CancellationTokenSource Asked = new();
    private static readonly TaskCompletionSource<int> Late = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static readonly List<PosixSignalRegistration> Registrations = [];
    private static readonly SecondThought SecondThought = new();

    /// <summary>Cancelled by the first signal.</summary>
    public static CancellationToken Token => Asked.Token;

    /// <summary>Ends with the exit code of the signal when the command had its time.</summary>
    public static Task<int> Overdue => Late.Task;

    /// <summary>Takes the signals from now on.</summary>
    public static void Begin() => Registrations.AddRange(
        new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(signal => PosixSignalRegistration.Create(signal, OnSignal)));

    private static void OnSignal(PosixSignalContext context)
    {
        (bool isFirst, bool insists) = SecondThought.Take(context.Signal);
        context.Cancel = !insists;
        if (isFirst)
        {
            _ = GiveUpLaterAsync(128 + NumberOf(context.Signal));
            Asked.Cancel();
        }
    }

    private static async Task GiveUpLaterAsync(int exitCode)
    {
        await Task.Delay(Notice, TimeProvider.System);
        Failure.Report("Still ending what is under way; once more, and it is left behind.");
        await Task.Delay(Patience - Notice, TimeProvider.System);
        Late.TrySetResult(exitCode);
    }

    private static int NumberOf(PosixSignal signal) => signal switch
    {
        PosixSignal.SIGHUP => 1,
        PosixSignal.SIGINT => 2,
        _ => 15,
    };
}
