"""Classification with alternating normalisation (CAN): does a prior correct unsure predictions?"""
