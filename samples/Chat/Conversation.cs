using System.Text;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Samples.Chat;

/// <summary>One end of a chat; both ends are alike.</summary>
internal static class Conversation
{
    public const string Goodbye = "bye";

    /// <summary>Sends what is typed and shows what comes, until either side has left.</summary>
    public static async Task RunAsync(KwikStream stream, ChannelReader<string> typed, Action<string> show)
    {
        var messages = new MessageChannel(stream, new MessageOptions { MaxMessageSize = 64 * 1024 });
        Task hearing = HearAsync(stream, messages, show);
        try
        {
            await foreach (string line in typed.ReadAllAsync())
            {
                await messages.SendMessageAsync(Encoding.UTF8.GetBytes(line));
                if (line == Goodbye)
                {
                    break;
                }
            }
        }
        catch (KwikException e)
        {
            // BrokenPipe when the other side has closed the stream; ConnectionReset when it vanished.
            show($"Not sent: {(e as XStreamException)?.Kind.ToString() ?? e.Message}");
        }

        // What was sent still arrives; then the other side's messages end, and its sending fails.
        await stream.CloseAsync();
        await hearing;
    }

    private static async Task HearAsync(KwikStream stream, MessageChannel messages, Action<string> show)
    {
        try
        {
            while (await messages.ReceiveMessageAsync() is { } message)
            {
                show($"> {Printable(message)}");
            }

            await WaitUntilClosedAsync(stream);
            show("They have left; nothing can be sent any more.");
        }
        catch (XStreamException e) when (e.Kind == XStreamErrorKind.StreamClosed)
        {
            // We have left.
        }
        catch (KwikException e)
        {
            show($"The conversation is lost. {e.Message}");
        }
    }

    /// <summary>Who has sent the last message could still receive some; who has closed the stream does not.</summary>
    private static async Task WaitUntilClosedAsync(KwikStream stream)
    {
        try
        {
            await stream.WritesClosed;
        }
        catch (KwikException)
        {
            // So it ends when somebody gives it up. Whoever sends learns more.
        }
    }

    // A peer may send anything, and a terminal obeys some of it.
    private static string Printable(byte[] message) => PeerText.Printable(Encoding.UTF8.GetString(message));
}
