using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>Runs the tasks that serve one connection, for as long as all of them run.</summary>
internal static class ConnectionLoops
{
    /// <summary>
    /// Runs the loops until the first ends; tells <paramref name="ended"/> why, at once; then closes the connection, which
    /// ends the others, and waits for them. A loop that just returns was ended by the peer's goodbye.
    /// </summary>
    public static async Task RunAsync(
        ITransportConnection connection,
        ControlChannel control,
        IReadOnlyList<Func<CancellationToken, Task>> loops,
        Action<KwikException> ended,
        CancellationToken stopping)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        var running = new List<Task>(loops.Count);
        foreach (Func<CancellationToken, Task> loop in loops)
        {
            running.Add(Background.Start(() => loop(stop.Token)));
        }

        Task first = await Task.WhenAny(running);
        KwikException reason = await ReasonAsync(first);
        ended(reason);
        stop.Cancel();
        await connection.CloseAsync(reason.Side == KwikErrorSide.Remote ? reason.Code : KwikError.None);
        foreach (Task loop in running)
        {
            await ReasonAsync(loop);
        }

        await control.DisposeAsync();
        await connection.DisposeAsync();
    }

    private static async Task<KwikException> ReasonAsync(Task loop)
    {
        try
        {
            await loop;
            return new KwikException(KwikError.None, KwikErrorSide.Remote, "The peer closed the session.");
        }
        catch (KwikException e)
        {
            return e;
        }
        catch (OperationCanceledException e)
        {
            return new KwikException(KwikError.None, KwikErrorSide.Local, "This side closed the session.", e);
        }
        catch (Exception e)
        {
            // A defect of ours ends the session that met it, with its trace in the log, and no other.
            return new KwikException(KwikError.Internal, KwikErrorSide.Local, $"An unexpected {e.GetType().Name}: {e}", e);
        }
    }
}
